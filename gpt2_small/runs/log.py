"""The log of a run: one JSON object a line."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gpt2_small.errors import UserError
from gpt2_small.text.files import write_whole

LOG = "log.jsonl"


def append_log(folder: str | Path, record: Mapping[str, Any]) -> None:
    """Add a line to a run's log, flushed. Numbers that are not finite are written as null.

    Raises UserError when the disk does not allow it.
    """
    path = Path(folder) / LOG
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(_line(record))
    except OSError as error:
        raise UserError(f"cannot write {path} ({error.strerror}); free some space") from error


def read_log(folder: str | Path) -> list[dict[str, Any]]:
    """The records of a run's log, in order; none when there is no log yet.

    A last line that was cut off by a crash is left out.

    Raises UserError, with the line's number, for a damaged line.
    """
    path = Path(folder) / LOG
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    return [_parse(line, number, path) for number, line in enumerate(lines[:-1], start=1)]


def trim_log(folder: str | Path, last_step: int) -> None:
    """Drop the records after a step, before a run continues from that step's checkpoint.

    Raises UserError for a damaged log.
    """
    kept = [record for record in read_log(folder) if record["step"] <= last_step]
    write_whole(Path(folder) / LOG, "".join(map(_line, kept)))


def _line(record: Mapping[str, Any]) -> str:
    finite = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in record.items()
    }
    return json.dumps(finite, allow_nan=False) + "\n"


def _parse(line: str, number: int, path: Path) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError:
        record = None
    if not isinstance(record, dict) or not isinstance(record.get("step"), int):
        raise UserError(f"{path}, line {number}, is damaged; remove the line")
    return record
