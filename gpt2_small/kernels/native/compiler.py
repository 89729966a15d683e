"""Compile a C source with this machine's compiler, and cache the library."""

import ctypes
import hashlib
import os
import platform
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path

from gpt2_small.errors import UserError
from gpt2_small.files import atomic_file, cache_folder

# On macOS a second OpenMP beside torch's would end the process, so it runs one thread there.
OPENMP = () if sys.platform == "darwin" else ("-fopenmp",)
FLAGS = ("-O3", "-march=native", *OPENMP, "-shared", "-fPIC")
COMPILERS = ("cc", "gcc", "clang")
MOST_SECONDS = 60


class CannotCompile(Exception):
    """There is no library; the message says why, in a clause."""


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

    A cached library that is not this user's, or that others can write to, is not loaded.

    macros: names that are defined in the source.

    Raises CannotCompile without a compiler, and where the compiler or the loader fails.
    """
    command = [*compiler(), *FLAGS, *(f"-D{macro}" for macro in macros), "-x", "c"]
    name = f"{source.stem}-{_fingerprint(source.read_text(), command)}.so"
    with suppress(OSError):
        cached = _folder() / name
        if _is_private(cached.parent) and _is_private(cached):
            return ctypes.CDLL(str(cached))
    try:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            made = Path(folder) / name
            _run([*command, str(source), "-lm", "-o", str(made)])
            with suppress(OSError, UserError):
                return ctypes.CDLL(str(_cached(made)))
            return ctypes.CDLL(str(made))
    except OSError as error:
        raise CannotCompile(f"what {command[0]} made cannot be loaded ({error})") from None


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
        said = next((line for line in result.stderr.splitlines() if "error" in line), "no message")
        raise CannotCompile(f"{command[0]} failed ({said.strip()})")


def _folder() -> Path:
    return cache_folder() / "compiled"


def _is_private(path: Path) -> bool:
    """Whether a file or folder is this user's, and nobody else may write to it."""
    if not hasattr(os, "getuid"):
        return True
    found = path.stat()
    return found.st_uid == os.getuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _cached(made: Path) -> Path:
    """The path of the library's copy in the cache.

    Raises OSError or UserError where it cannot be kept there.
    """
    folder = _folder()
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    if not _is_private(folder):
        raise PermissionError(f"{folder} can be written by other users")
    with atomic_file(folder / made.name, mode=0o700) as aside:
        shutil.copyfile(made, aside)
    return folder / made.name


def _fingerprint(source: str, command: Iterable[str]) -> str:
    """A hash of all that a library depends on; different processors may share a home folder."""
    described = "\n".join([source, *command, *_processor()])
    return hashlib.sha256(described.encode()).hexdigest()[:16]


@cache
def _processor() -> tuple[str, ...]:
    """The processor's kind, and on Linux its features."""
    described = Path("/proc/cpuinfo")
    lines = described.read_text().splitlines() if described.exists() else []
    abilities = {line for line in lines if line.startswith(("flags", "Features", "model name"))}
    return platform.machine(), platform.processor(), *sorted(abilities)
