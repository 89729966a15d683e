"""List the text files of a folder, and the skipped files with their reasons."""

import os
from pathlib import Path

from gpt2_small.data.corpora.open_files import archive_of, first_bytes
from gpt2_small.data.corpora.row_files import COLUMNAR, row_format
from gpt2_small.errors import UserError

LOOKED_AT_BYTES = 8192
TEXT_SUFFIXES = (".txt", ".text", ".md")  # files that are refused, not skipped, if they are binary


def list_folder(folder: Path) -> tuple[list[Path], dict[str, str]]:
    """List the files to read, in the order of their paths, and the skipped ones with their reasons.

    Hidden files and folders, links to folders, archives, empty files and binary files are skipped.
    Other unreadable files are detected when they are opened.
    """
    files: list[Path] = []
    left_out: dict[str, str] = {}
    for path, reason in sorted(_walk(folder), key=lambda found: found[0].parts):
        reason = reason or _reason(path)
        if reason:
            left_out[str(path.relative_to(folder))] = reason
        else:
            files.append(path)
    return files, left_out


def _walk(folder: Path) -> list[tuple[Path, str]]:
    """The files below a folder; skipped ones with a reason."""
    try:
        entries = list(os.scandir(folder))
    except OSError as error:
        return [(folder, f"cannot be read ({error.strerror})")]
    found = []
    for entry in entries:
        path = folder / entry.name
        if entry.name.startswith("."):
            found.append((path, "hidden"))
        elif entry.is_dir(follow_symlinks=False):
            found += _walk(path)
        elif entry.is_dir():
            found.append((path, "a link to a folder"))
        elif not entry.is_file():
            found.append((path, "a broken link, a pipe or a device"))
        else:
            found.append((path, ""))
    return found


def _reason(path: Path) -> str:
    """The reason to skip a file; empty for one to read."""
    try:
        if archive := archive_of(path):
            return f"a {archive} archive"
        if row_format(path) in COLUMNAR:
            return ""
        beginning = first_bytes(path, LOOKED_AT_BYTES)
    except UserError:
        return ""  # opening it gives the reason
    if not beginning.strip():
        return "empty"
    if b"\0" in beginning and path.suffix.lower() not in TEXT_SUFFIXES:
        return "not text"
    return ""
