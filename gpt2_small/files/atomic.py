"""Write files and folders atomically: aside, synced, then moved into place."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from gpt2_small.errors import UserError
from gpt2_small.files.hashes import write_manifest
from gpt2_small.files.write_errors import cannot_write


def write_atomically(path: Path, text: str, *, errors: str = "strict") -> None:
    """Writes `text` beside `path`, syncs it, and moves it into place.

    A device, a pipe or a link at `path`, such as /dev/stdout, is written to instead of replaced.

    Args:
        errors: as in `open`, for characters that UTF-8 cannot encode.

    Raises:
        UserError: the file cannot be written; a file at `path` is unchanged.
    """
    if path.is_symlink() or (path.exists() and not path.is_file()):
        _write_into(path, text, errors)
        return
    with atomic_file(path) as aside:
        aside.write_text(text, encoding="utf-8", errors=errors, newline="")


@contextmanager
def atomic_file(path: Path, *, mode: int = 0o644) -> Iterator[Path]:
    """Yields an empty file beside `path` to write to; then syncs it and moves it into place.

    Args:
        mode: the file's permissions.

    Raises:
        UserError: the file cannot be written, or `path` is a folder, a pipe or a device; a file at
            `path` is unchanged.
    """
    if path.exists() and not path.is_file():
        raise UserError(f"{path} is not a file; give another path")
    aside = None
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(handle)
        aside = Path(name)
        yield aside
        with aside.open("r+b") as file:
            os.fsync(file.fileno())
        aside.chmod(mode)
        os.replace(aside, path)
    except OSError as error:
        raise cannot_write(path, error, "nothing was changed; ") from None
    finally:
        if aside:
            aside.unlink(missing_ok=True)


def _write_into(path: Path, text: str, errors: str) -> None:
    try:
        path.write_text(text, encoding="utf-8", errors=errors, newline="")
    except OSError as error:
        raise cannot_write(path, error) from None


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yields a folder beside `path` to write into; then syncs it and moves it into place.

    A folder at `path` is replaced; if `path` is a link, its target is. The new folder gets a
    manifest with the SHA-256 of every file.

    Raises UserError when `path` is a file, a device or the working directory, and when the folder
    cannot be written; a folder at `path` is unchanged then, and no partial folder is left.
    """
    if path.is_symlink():
        path = path.resolve()
    if path.is_dir() and _contains_working_directory(path):
        raise UserError(f"{path} is the working directory or contains it; give a new folder")
    if path.exists() and not path.is_dir():
        raise UserError(f"{path} is not a folder; give a new folder")
    aside = path.with_name(f".{path.name}.unfinished")
    try:
        _remove(aside)
        aside.mkdir(parents=True)
        yield aside
        write_manifest(aside)
        for file in sorted(aside.iterdir()):
            file.chmod(0o644)
            sync(file)
        sync(aside)
        _take_place(aside, path)
        sync(path.parent)
    except (OSError, SafetensorError) as error:
        raise cannot_write(path, error, "nothing was changed; ") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _contains_working_directory(path: Path) -> bool:
    try:
        return Path.cwd().is_relative_to(path.resolve())
    except OSError:  # it was removed
        return False


def _take_place(aside: Path, path: Path) -> None:
    if not path.exists():
        os.rename(aside, path)
        return
    old = path.with_name(f".{path.name}.replaced")
    _remove(old)
    os.rename(path, old)
    try:
        os.rename(aside, path)
    except BaseException:  # Ctrl-C, too
        if not path.exists():
            os.rename(old, path)
        raise
    _remove(old)


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)


def make_folder(path: Path) -> None:
    """Make a folder and those above it, if missing. Raises UserError if it cannot be made."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from error


def sync(path: Path) -> None:
    """Flush a file, or a folder's entries, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
