"""Choose the solution among the files of a student's folder."""

import os
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from gpt2_small.checker.parts import PARTS

PREFERRED = ("my_gpt2.py", "my_gpt2.ipynb")
SUFFIXES = (".py", ".ipynb")
MOST_BYTES = 10_000_000
# Files of operating systems, editors and this kit, which are not submissions.
_LEFT_BEHIND = (
    ".DS_Store", ".git", ".gitattributes", ".gitignore", ".idea", ".ipynb_checkpoints",
    ".mypy_cache", ".pytest_cache", ".ruff_cache", ".venv", ".vscode", "Thumbs.db", "__MACOSX",
    "__pycache__", "desktop.ini",
)  # fmt: skip
# Files of a folder that are looked at: a link may lead to the whole disk.
_MOST_FILES = 20_000
_SOLUTION = re.compile(rf"\b(?:class|def)\s+(?:{'|'.join(PARTS)})\b|# gpt2-small lesson: ".encode())


def is_left_behind(name: str) -> bool:
    """Whether a name is that of a file of the system, an editor or this kit."""
    return name in _LEFT_BEHIND or name.startswith("._") or name.endswith(".progress.json")


def entries_of(folder: Path) -> list[Path]:
    """The entries of a folder that may be submissions."""
    return sorted(folder / name for name in os.listdir(folder) if not is_left_behind(name))


def python_files(folder: Path) -> list[Path]:
    """The Python files and notebooks in a folder and its inner folders, without links to others."""
    return sorted(islice(_python_files(folder), _MOST_FILES))


def _python_files(folder: Path) -> Iterator[Path]:
    seen = 0
    for here, inner, names in os.walk(folder):
        inner[:] = sorted(name for name in inner if not is_left_behind(name))
        for name in sorted(names):
            if Path(name).suffix.lower() in SUFFIXES and not is_left_behind(name):
                yield Path(here, name)
        seen += len(names) + len(inner)
        if seen > _MOST_FILES:
            return


def solution_in(folder: Path) -> Path | str:
    """The solution, at the folder's top or in an inner folder, or why there is none."""
    try:
        entries = entries_of(folder)
    except OSError as error:
        return f"the folder cannot be read: {error.strerror}"
    top = [file for file in entries if file.suffix.lower() in SUFFIXES and not file.is_dir()]
    files = top
    for files in (top, python_files(folder)):
        chosen = _preferred(files) or _only([file for file in files if _is_solution(file)])
        if chosen is not None:
            return chosen
    chosen = _only(top) or _only(files)
    if chosen is not None:
        return chosen
    if files:
        return f"the folder holds {len(files)} Python files, not one of them {PREFERRED[0]}"
    if entries:
        return f"no Python file in the folder, which holds {_listed(entries)}"
    return "the folder is empty"


def _preferred(files: Sequence[Path]) -> Path | None:
    """The file with a preferred name, if there is one."""
    for name in PREFERRED:
        chosen = _only([f for f in files if f.name == name]) or _only(
            [f for f in files if f.name.lower() == name]
        )
        if chosen is not None:
            return chosen
    return None


def _only(files: Sequence[Path]) -> Path | None:
    return files[0] if len(files) == 1 else None


def _is_solution(file: Path) -> bool:
    """Whether a file defines a part, or is a lesson's."""
    try:
        is_readable = file.is_file() and file.stat().st_size <= MOST_BYTES
        return is_readable and _SOLUTION.search(file.read_bytes()) is not None
    except OSError:
        return False


def _listed(entries: Sequence[Path], most: int = 3) -> str:
    names = ", ".join(entry.name for entry in entries[:most])
    return names if len(entries) <= most else f"{names} and {len(entries) - most} more"
