"""Folders that are there whole or not at all, and the hashes that tell whether they still are."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from gpt2_small.errors import UserError
from gpt2_small.text.files import read_json, sha256

MANIFEST = "manifest.json"
MANIFEST_FORMAT = "gpt2-small-manifest/1"


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Gives a folder beside `path` to write into; at the end it takes its place, synced.

    A folder that stood at `path` is replaced. Every file in the new one is listed in a manifest
    with its SHA-256.

    Raises UserError when the disk or the parent folder does not allow it; what was there before is
    unharmed, and nothing half-written is left.
    """
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
        raise UserError(f"cannot write {path} ({_reason(error)}); nothing was changed") from error
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


def _reason(error: OSError | SafetensorError) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    said_by_the_system = re.search(r"I/O error: (.*?)( \(os error \d+\))?$", str(error))
    return said_by_the_system[1] if said_by_the_system else str(error)


def sync(path: Path) -> None:
    """Wait until a file or a folder's list of names is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


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
    """The path of a file, once its SHA-256 is seen to be the one in the folder's manifest.

    Raises UserError for a manifest or a file that is missing or damaged.
    """
    path = folder / name
    manifest = read_json(folder / MANIFEST, MANIFEST_FORMAT)
    expected = manifest.get("files", {}).get(name)
    if expected is None:
        raise UserError(f"{folder / MANIFEST} does not list {name}; write the folder again")
    if not path.is_file():
        raise UserError(f"{path} is missing; copy it from where {folder} was made")
    if sha256(path) != expected:
        raise UserError(
            f"{path} is not what was written (its SHA-256 is not the one in {MANIFEST}); "
            "copy it again from where it was made"
        )
    return path
