"""Files that are there whole or not at all, and what tells whether they still are."""

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from gpt2_small.errors import UserError


def write_whole(path: Path, text: str, *, errors: str = "strict") -> None:
    """Writes `text` beside `path`, syncs it, and moves it into place.

    A device, a pipe or a link at `path`, such as /dev/stdout, is written to instead of replaced.

    Args:
        errors: as in `open`, for what UTF-8 cannot say.

    Raises:
        UserError: the disk or the folder does not allow it; what was at `path` is unharmed.
    """
    aside = None
    if path.is_symlink() or (path.exists() and not path.is_file()):
        _write_into(path, text, errors)
        return
    try:
        handle, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "w", encoding="utf-8", errors=errors, newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(aside, 0o644)
        os.replace(aside, path)
    except OSError as error:
        if aside:
            Path(aside).unlink(missing_ok=True)
        raise UserError(f"cannot write {path} ({error.strerror}); nothing was changed.") from None


def _write_into(path: Path, text: str, errors: str) -> None:
    try:
        path.write_text(text, encoding="utf-8", errors=errors, newline="")
    except OSError as error:
        raise UserError(f"cannot write {path} ({error.strerror}).") from None


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(path: Path, format: str) -> dict[str, Any]:
    """A JSON object with this format from a file.

    Raises UserError when the file is missing, is damaged, or has another format.
    """
    content = read_json_object(path)
    if content.get("format") != format:
        raise UserError(
            f"{path} has the format {content.get('format')!r}, not {format!r}; "
            "it was made by something else, or by another version of this program"
        )
    return content


def read_json_object(path: Path) -> dict[str, Any]:
    """A JSON object from a file. Raises UserError when the file is missing or damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"there is no {path}; check the folder's name") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise UserError(f"{path} is damaged, it is not JSON ({error}); copy it again") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} is damaged, it does not hold a JSON object; copy it again")
    return content
