"""Hash files, list the hashes of a folder in its manifest, and verify them."""

import hashlib
import json
import os
from pathlib import Path

from gpt2_small.errors import UserError
from gpt2_small.files.json_files import read_json

MANIFEST = "manifest.json"
MANIFEST_FORMAT = "gpt2-small-manifest/1"


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def stamp(file: Path | int) -> tuple[int, int] | None:
    """Size and modification time of a file or an open descriptor; None for a missing file."""
    try:
        status = os.stat(file)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def check_sha256(path: Path, expected: str, listed_in: str, way_out: str) -> None:
    """Raise UserError, with the way out, for a file that is missing or has another SHA-256."""
    if not path.is_file():
        raise UserError(f"{path} is missing; {way_out}")
    if sha256(path) != expected:
        raise UserError(
            f"{path} was changed after it was written (its SHA-256 is not that in {listed_in}); "
            f"{way_out}"
        )


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
