"""Makes a C source into a library that Python can call, with this machine's own compiler."""

import ctypes
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path

from gpt2_small.files import cache_folder

# On macOS a second OpenMP beside torch's would end the process; one thread has to do there.
OPENMP = () if sys.platform == "darwin" else ("-fopenmp",)
FLAGS = ("-O3", "-march=native", *OPENMP, "-shared", "-fPIC")
COMPILERS = ("cc", "gcc", "clang")
MOST_SECONDS = 60


class CannotCompile(Exception):
    """Why there is no library, in a clause."""


def compiler() -> list[str]:
    """The command of the compiler: $CC, or the first of `COMPILERS` that is installed.

    Raises CannotCompile where there is none, and for a $CC that is no command.
    """
    try:
        named = shlex.split(os.environ.get("CC", ""))
    except ValueError as error:
        raise CannotCompile(f"$CC is {os.environ['CC']!r} ({error})") from None
    if named:
        return named
    for name in COMPILERS:
        if found := shutil.which(name):
            return [found]
    raise CannotCompile("there is no C compiler")


def library(source: Path, *macros: str) -> ctypes.CDLL:
    """The library of a C file, from the cache where it was compiled before on such a machine.

    macros: names that the source finds defined.

    Raises CannotCompile without a compiler, and where the compiler or the loader fails.
    """
    command = [*compiler(), *FLAGS, *(f"-D{macro}" for macro in macros), "-x", "c"]
    name = f"{source.stem}-{_fingerprint(source.read_text(), command)}.so"
    with suppress(OSError):
        return ctypes.CDLL(str(cache_folder() / name))
    try:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            made = Path(folder) / name
            _run([*command, str(source), "-lm", "-o", str(made)])
            with suppress(OSError):
                return ctypes.CDLL(str(_keep(made)))
            return ctypes.CDLL(str(made))
    except OSError as error:
        raise CannotCompile(f"what {command[0]} makes cannot be loaded ({error})") from None


def _run(command: list[str]) -> None:
    try:
        result = subprocess.run(
            command,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            env={**os.environ, "LC_ALL": "C"},
            timeout=MOST_SECONDS,
        )
    except OSError as error:
        raise CannotCompile(f"{command[0]} cannot be run ({error.strerror})") from None
    except subprocess.TimeoutExpired:
        raise CannotCompile(f"{command[0]} took more than {MOST_SECONDS} seconds") from None
    if result.returncode:
        said = next((line for line in result.stderr.splitlines() if "error" in line), "no word")
        raise CannotCompile(f"{command[0]} failed ({said.strip()})")


def _keep(made: Path) -> Path:
    """Where it lies in the cache now."""
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as unfinished:
        copied = shutil.copy(made, unfinished)
        os.replace(copied, folder / made.name)
    return folder / made.name


def _fingerprint(source: str, command: Iterable[str]) -> str:
    """Of all that a library depends on: a home folder may be shared by different processors."""
    described = "\n".join([source, *command, *_processor()])
    return hashlib.sha256(described.encode()).hexdigest()[:16]


@cache
def _processor() -> tuple[str, ...]:
    """Its kind, and on Linux what it can do."""
    described = Path("/proc/cpuinfo")
    lines = described.read_text().splitlines() if described.exists() else []
    abilities = {line for line in lines if line.startswith(("flags", "Features", "model name"))}
    return platform.machine(), platform.processor(), *sorted(abilities)
