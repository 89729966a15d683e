"""Examine the Python, the packages, the devices and the disk of this machine."""

import importlib
import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import gpt2_small
from gpt2_small import binding

OLDEST_PYTHON, NEWEST_PYTHON = (3, 11), (3, 14)
# A run of GPT-2 small stores checkpoints of 1.5 GB: weights and the optimiser's state.
DISK_NEEDED = 5e9
_PURPOSES = {
    "hub": "for data sets",
    "dev": "for the tests",
    "eval": "for lm-eval",
    "streamlit": "for Streamlit",
    "docs": "for the docs site",
}


@dataclass(frozen=True)
class Finding:
    """The state of one requirement.

    state: `missing` if every command needs it, `optional` if only some do.
    fix: the command that provides it.
    """

    subject: str
    found: str
    state: Literal["ok", "optional", "missing"] = "ok"
    fix: str = ""


@dataclass(frozen=True)
class NeededPackage:
    """A declared dependency with its lowest version and its extra."""

    name: str
    at_least: str
    extra: str | None


def all_findings() -> list[Finding]:
    """All findings, in display order."""
    return [
        python(),
        kit(),
        *packages(declared()),
        *devices(),
        *c_code(),
        memory(),
        disk(Path.cwd()),
        reference(),
    ]


def python() -> Finding:
    """The version and path of Python."""
    version = sys.version_info[:2]
    found = f"{platform.python_version()} ({sys.executable})"
    if OLDEST_PYTHON <= version <= NEWEST_PYTHON:
        return Finding("Python", found)
    wanted = f"{OLDEST_PYTHON[0]}.{OLDEST_PYTHON[1]}"
    return Finding("Python", found, "missing", f"PYTHON=python{wanted} ./setup_env.sh")


def kit() -> Finding:
    """The version and path of the kit."""
    home = Path(gpt2_small.__file__).parent
    return Finding("gpt2-small", f"{gpt2_small.__version__} ({home})")


def declared() -> list[NeededPackage]:
    """The declared dependencies: required ones, then those of extras."""
    try:
        lines = importlib.metadata.requires("gpt2-small") or []
    except importlib.metadata.PackageNotFoundError:
        lines = _declared_in_checkout()
    read = [needed for line in lines if (needed := _read(line)) is not None]
    extras = ["", *_PURPOSES]
    read.sort(key=lambda one: (_order(one.extra or "", extras), one.extra or "", one.name.lower()))
    once = {needed.name: needed for needed in reversed(read)}
    return list(reversed(once.values()))


def _order(name: str, known: Sequence[str]) -> int:
    return known.index(name) if name in known else len(known)


def _declared_in_checkout() -> list[str]:
    file = Path(gpt2_small.__file__).resolve().parents[1] / "pyproject.toml"
    if not file.is_file():
        return []
    project = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].items()
    return [
        *project["dependencies"],
        *(f"{line} ; extra == '{extra}'" for extra, lines in extras for line in lines),
    ]


def _read(line: str) -> NeededPackage | None:
    """Parse `safetensors>=0.5; extra == 'dev'`; None for the project itself."""
    requirement, _, condition = line.partition(";")
    match = re.match(r"\s*([\w.-]+)\s*(?:\[[^]]*\])?\s*\(?(?:>=\s*([\w.]+))?", requirement)
    assert match is not None, line
    extra = re.search(r"extra\s*==\s*['\"]([\w-]+)['\"]", condition)
    if match[1] == "gpt2-small":
        return None
    return NeededPackage(match[1], match[2] or "0", extra[1] if extra else None)


def packages(wanted: Sequence[NeededPackage]) -> Iterator[Finding]:
    """The installed packages by purpose, then one finding for all missing ones."""
    for extra in dict.fromkeys(needed.extra for needed in wanted):
        group = [needed for needed in wanted if needed.extra == extra]
        states = {needed: package(needed) for needed in group}
        installed = [f"{one.name} {states[one].version}" for one in group if states[one].usable]
        if installed:
            yield Finding(purpose(extra), ", ".join(installed))
        unusable = [needed for needed in group if not states[needed].usable]
        if unusable:
            yield Finding(
                purpose(extra),
                ", ".join(f"{one.name} {states[one].problem}" for one in unusable),
                "optional" if extra else "missing",
                "pip install " + " ".join(f"'{one.name}>={one.at_least}'" for one in unusable),
            )


def purpose(extra: str | None) -> str:
    """An extra's purpose in a few words."""
    return "packages" if extra is None else _PURPOSES.get(extra, f"extra {extra}")


@dataclass(frozen=True)
class InstalledPackage:
    """A package's version (empty if absent), and the reason if it cannot be used."""

    version: str
    problem: str = ""

    @property
    def usable(self) -> bool:
        return not self.problem


def package(needed: NeededPackage) -> InstalledPackage:
    """Compare an installed package's version with the lowest supported one."""
    try:
        version = importlib.metadata.version(needed.name)
    except importlib.metadata.PackageNotFoundError:
        return InstalledPackage("", "is not installed")
    if _numbers(version) < _numbers(needed.at_least):
        return InstalledPackage(version, f"{version} is older than {needed.at_least}")
    return InstalledPackage(version)


def _numbers(version: str) -> tuple[int, ...]:
    """A version as sortable numbers: 2.13.0+cpu is (2, 13, 0)."""
    release = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(number) for number in release[0].split(".")) if release else ()


def devices() -> Iterator[Finding]:
    """torch's devices, and a GPU that needs another build."""
    try:
        torch = importlib.import_module("torch")
    except Exception as error:
        reason = " ".join(str(error).split())
        fix = "pip install --force-reinstall torch"
        yield Finding("devices", f"torch cannot be imported: {reason}", "missing", fix)
        return
    from gpt2_small.devices import available_devices

    for name in available_devices():
        yield Finding("device", f"{name}{_about(torch, name)}")
    if torch.version.cuda is None and shutil.which("nvidia-smi") and _lists_a_gpu():
        yield Finding(
            "GPU",
            f"there is one, but torch {torch.__version__} is built without CUDA",
            "optional",
            "./setup_env.sh --help says how to choose a build of PyTorch with CUDA",
        )


def c_code() -> Iterator[Finding]:
    """Whether C kernels can be compiled; nothing if torch cannot be imported."""
    try:
        torch = importlib.import_module("torch")
    except Exception:
        return
    from gpt2_small.kernels.native.compiler import compiler
    from gpt2_small.kernels.native.library import MACROS, unavailable

    reasons = [unavailable(dtype, torch.device("cpu")) for dtype in MACROS]
    reason = next((reason for reason in reasons if reason), None)
    if reason is None:
        yield Finding("C code", f"compiled by {' '.join(compiler())}")
    else:
        fix = "install gcc, or name a C compiler in $CC"
        found = f"{reason}; training and generation on a CPU are slower"
        yield Finding("C code", found, "optional", fix)


def _about(torch: object, name: str) -> str:
    if name == "cpu":
        return f", {_processors()} processors"
    if name.startswith("cuda"):
        found = torch.cuda.get_device_properties(name)  # type: ignore[attr-defined]
        return f", {found.name}, {found.total_memory / 2**30:.0f} GiB"
    return ""


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _lists_a_gpu() -> bool:
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return listed.returncode == 0 and "GPU" in listed.stdout


def memory() -> Finding:
    """The machine's memory."""
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return Finding("memory", "unknown")
    return Finding("memory", f"{size / 2**30:.0f} GiB")


def disk(
    folder: Path, usage: Callable[[Path], tuple[int, int, int]] = shutil.disk_usage
) -> Finding:
    """A folder's free space, and whether it is writable."""
    free = usage(folder)[2]
    found = f"{free / 1e9:.1f} GB free in {folder}"
    if not os.access(folder, os.W_OK):
        found = f"{folder} cannot be written to"
        return Finding("disk", found, "missing", "cd to a folder of your own")
    if free < DISK_NEEDED:
        fix = f"free {(DISK_NEEDED - free) / 1e9:.1f} GB, or give --out on another disk"
        return Finding("disk", f"{found}; a run of GPT-2 small needs more", "optional", fix)
    return Finding("disk", found)


def reference() -> Finding:
    """Whether the reference exists, and the solution in use."""
    path = binding.reference_path()
    if not path.is_file():
        fix = "pip install --force-reinstall --no-deps gpt2-small"
        return Finding("reference", f"{path} is missing", "missing", fix)
    chosen = os.environ.get(binding.SOLUTION_VARIABLE)
    if chosen and not Path(chosen).is_file():
        found = f"${binding.SOLUTION_VARIABLE} names {chosen}, which does not exist"
        return Finding("solution", found, "missing", f"unset {binding.SOLUTION_VARIABLE}")
    return Finding("solution", chosen or f"the reference ({path})")
