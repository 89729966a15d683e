"""Read JSON files, and refuse damaged ones."""

import json
from pathlib import Path
from typing import Any

from gpt2_small.errors import UserError
from gpt2_small.files.lfs_pointers import refuse_lfs_pointer
from gpt2_small.files.special_files import refuse_pipe


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
        refuse_lfs_pointer(path)
        raise UserError(f"{path} is damaged, it is not JSON ({error}); copy it again") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} is damaged, it does not hold a JSON object; copy it again")
    return content


def parse_json(text: str) -> Any:
    """Parse a JSON value. Raises ValueError for text that is not JSON or is nested too deeply."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
