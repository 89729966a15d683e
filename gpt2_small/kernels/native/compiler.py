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
from gpt2_small.files.atomic import atomic_file
from gpt2_small.files.user_cache import cache_folder

# On macOS a second OpenMP runtime beside torch's would abort the process, so one thread runs there.
OPENMP = () if sys.platform == "darwin" else ("-fopenmp",)
FLAGS = ("-O3", "-march=native", *OPENMP, "-shared", "-fPIC")
COMPILERS = ("cc", "gcc", "clang")
MOST_SECONDS = 60


class CannotCompile(Exception):
    """The library cannot be built or loaded. The message is a clause with the reason."""


def compiler() -> list[str]:
    """The command of the compiler: $CC, or the first of `COMPILERS` that is installed.

    Raises CannotCompile without a compiler, and for a $CC that is not a command.
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
    """Load the library of a C file, compiled now or taken from the cache.

    A cached library that another user owns or can write to is not loaded.

    macros: names to define for the preprocessor.

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
        raise CannotCompile(f"the output of {command[0]} cannot be loaded ({error})") from None


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
    """Whether this user owns a file or folder and no other user can write to it."""
    if not hasattr(os, "getuid"):
        return True
    found = path.stat()
    return found.st_uid == os.getuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _cached(made: Path) -> Path:
    """Copy a library into the cache and return the copy's path.

    Raises OSError or UserError when it cannot be stored there.
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
    """A hash of source, command and processor: machines may share a home folder."""
    described = "\n".join([source, *command, *_processor()])
    return hashlib.sha256(described.encode()).hexdigest()[:16]


@cache
def _processor() -> tuple[str, ...]:
    """The processor's name, and on Linux its features."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    features = {line for line in lines if line.startswith(("flags", "Features", "model name"))}
    return platform.machine(), platform.processor(), *sorted(features)
