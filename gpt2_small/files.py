"""Write files and folders atomically, verify their hashes, and find the cache folder."""

import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from safetensors import SafetensorError

from gpt2_small.errors import UserError
from gpt2_small.pipes import refuse_pipe

DISK_FULL = {os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT)}


def cache_folder() -> Path:
    """This user's cache folder, which may not exist yet.

    Raises FileNotFoundError for a user without a home folder.
    """
    try:
        caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:
        raise FileNotFoundError("there is no home folder, and $XDG_CACHE_HOME is not set") from None
    return caches / "gpt2-small"


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
def locked(path: Path, *, in_use: str, wait: bool = False) -> Iterator[None]:
    """Hold a lock on the file `path`, on every system. The file and its folder are created.

    Args:
        in_use: the message when another process holds the lock.
        wait: wait until it is released, instead of raising.

    Raises:
        UserError: another process holds it, or the folder cannot be written.
    """
    lock = FileLock(path, timeout=-1 if wait else 0)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise UserError(in_use) from None
    except OSError as error:
        raise cannot_write(path.parent, error) from error
    try:
        yield
    finally:
        lock.release()


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(path: Path, format: str) -> dict[str, Any]:
    """Read a JSON object of this format from a file.

    Raises UserError when the file is missing, is damaged, or has another format.
    """
    content = read_json_object(path)
    if content.get("format") != format:
        raise UserError(
            f"{path} has the format {content.get('format')!r}, not {format!r}; "
            "it was made by something else, or by another version of this program"
        )
    return content


def parse_json(text: str) -> Any:
    """Parse a JSON value. Raises ValueError for text that is not JSON or is nested too deeply."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def read_json_object(path: Path) -> dict[str, Any]:
    """Read a JSON object from a file. Raises UserError when the file is missing or damaged."""
    refuse_pipe(path)
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"there is no {path}; check the folder's name") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise UserError(f"{path} is damaged, it is not JSON ({error}); copy it again") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} is damaged, it does not hold a JSON object; copy it again")
    return content


MANIFEST = "manifest.json"
MANIFEST_FORMAT = "gpt2-small-manifest/1"


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yields a folder beside `path` to write into; then syncs it and moves it into place.

    A folder at `path` is replaced; if `path` is a link, its target is. The new folder gets a
    manifest with the SHA-256 of every file.

    Raises UserError when `path` is a file or a device, and when the folder cannot be written; a
    folder at `path` is unchanged then, and no partial folder is left.
    """
    if path.is_symlink():
        path = path.resolve()
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


def _take_place(aside: Path, path: Path) -> None:
    if not path.exists():
        os.rename(aside, path)
        return
    old = path.with_name(f".{path.name}.replaced")
    _remove(old)
    os.rename(path, old)
    try:
        os.rename(aside, path)
    except OSError:
        os.rename(old, path)
        raise
    _remove(old)


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)


def cannot_write(path: Path, error: OSError | SafetensorError, unharmed: str = "") -> UserError:
    """The error for a path that cannot be written: the system's reason and the way out.

    unharmed: a clause between the two, such as "nothing was changed; ".
    """
    reason = _reason(error)
    way_out = "free some space" if reason in DISK_FULL else "make it writable or give another path"
    return UserError(f"cannot write {path} ({reason}); {unharmed}{way_out}")


def _reason(error: OSError | SafetensorError) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    said_by_the_system = re.search(r"I/O error: (.*?)( \(os error \d+\))?$", str(error))
    return said_by_the_system[1] if said_by_the_system else str(error)


def sync(path: Path) -> None:
    """Flush a file, or a folder's entries, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def stamp(file: Path | int) -> tuple[int, int] | None:
    """Size and modification time of a file or an open descriptor; None for a missing file."""
    try:
        status = os.stat(file)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def write_manifest(folder: Path) -> None:
    """List every file of a folder with its SHA-256 in its manifest."""
    files = {file.name: sha256(file) for file in sorted(folder.iterdir())}
    text = json.dumps({"format": MANIFEST_FORMAT, "files": files}, indent=1)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def has_manifest(folder: Path) -> bool:
    """Whether a folder has a manifest written by this program."""
    path = folder / MANIFEST
    return path.is_file() and MANIFEST_FORMAT.encode() in path.read_bytes()


def verified(folder: Path, name: str) -> Path:
    """The path of a file in a folder, after comparing its SHA-256 with the folder's manifest.

    Raises UserError for a manifest or a file that is missing or damaged.
    """
    path = folder / name
    manifest = read_json(folder / MANIFEST, MANIFEST_FORMAT)
    files = manifest.get("files")
    expected = files.get(name) if isinstance(files, dict) else None
    if expected is None:
        raise UserError(f"{folder / MANIFEST} does not list {name}; write the folder again")
    check_sha256(path, expected, MANIFEST, f"copy it again from where {folder} was made")
    return path


def check_sha256(path: Path, expected: str, listed_in: str, way_out: str) -> None:
    """Raise UserError, with the way out, for a file that is missing or has another SHA-256."""
    if not path.is_file():
        raise UserError(f"{path} is missing; {way_out}")
    if sha256(path) != expected:
        raise UserError(
            f"{path} is not what was written (its SHA-256 is not the one in {listed_in}); {way_out}"
        )
