"""Read and write the log of a run: one JSON object a line."""

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gpt2_small.errors import UserError
from gpt2_small.files.atomic import write_atomically
from gpt2_small.files.json_files import parse_json
from gpt2_small.files.special_files import refuse_pipe
from gpt2_small.files.write_errors import cannot_write

LOG = "log.jsonl"


def append_log(folder: str | Path, record: Mapping[str, Any]) -> None:
    """Append a line to a run's log and flush it. Infinities and NaN are written as null.

    Raises UserError when it cannot be written.
    """
    path = Path(folder) / LOG
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(_line(record))
    except OSError as error:
        raise cannot_write(path, error) from error


def read_log(folder: str | Path) -> list[dict[str, Any]]:
    """Read the records of a run's log, in order; none when there is no log yet.

    A truncated last line, after a crash, is left out.

    Raises UserError, with the line's number, for a damaged line.
    """
    return list(_records(Path(folder) / LOG))


def trim_log(folder: str | Path, last_step: int) -> list[dict[str, Any]]:
    """Drop the records after a step, before a run resumes from that step's checkpoint.

    The dropped lines may be damaged, as after a power cut.

    Returns the remaining records.

    Raises UserError, with the line's number, for a damaged line among these.
    """
    path = Path(folder) / LOG
    refuse_pipe(path)
    records: list[dict[str, Any]] = []
    for record in _records(path) if last_step else ():
        if record["step"] > last_step:
            break
        records.append(record)
        if record["step"] == last_step:
            break
    text = "".join(map(_line, records))
    if not path.exists() or path.read_bytes() != text.encode():
        write_atomically(path, text)
    return records


def _records(path: Path) -> Iterator[dict[str, Any]]:
    refuse_pipe(path)
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except FileNotFoundError:
        return
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    for number, line in enumerate(lines[:-1], start=1):
        yield _parse(line, number, path)


def finite(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record with None for infinities and NaN, which JSON cannot represent."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in record.items()
    }


def _line(record: Mapping[str, Any]) -> str:
    return json.dumps(finite(record), allow_nan=False) + "\n"


def _parse(line: str, number: int, path: Path) -> dict[str, Any]:
    try:
        record = parse_json(line)
    except ValueError:
        record = None
    if not isinstance(record, dict) or type(record.get("step")) is not int:
        raise UserError(f"{path}, line {number}, is damaged; remove the line")
    return record
