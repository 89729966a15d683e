"""Read rows from JSON lines, JSON, Parquet, compressed files, and data sets of the hub."""

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gpt2_small.data.conversations.record_shapes import Row
from gpt2_small.errors import UserError

SUFFIXES = (".jsonl", ".json", ".ndjson", ".parquet")
LARGEST_ARRAY = 2**31
"""Bytes of a JSON array, which is read whole."""


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of a file, in their order.

    Raises UserError, with the line or the row, for a file that is missing, damaged or of another
    kind.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    kind = suffixes[-2] if suffixes[-1:] == [".gz"] and len(suffixes) > 1 else suffixes[-1:] or ""
    kind = kind[0] if isinstance(kind, list) else kind
    if kind not in SUFFIXES:
        raise UserError(
            f"{path} is named neither {', '.join(SUFFIXES[:-1])} (or these with .gz) nor "
            f"{SUFFIXES[-1]}; give a file of conversations in one of these"
        )
    if not path.is_file():
        raise UserError(f"{path} is a folder; give one file of conversations")
    count = 0
    for row in _parquet(path) if kind == ".parquet" else _json(path):
        count += 1
        yield row
    if not count:
        raise UserError(f"{path} holds no rows; give a file of conversations")


def _json(path: Path) -> Iterator[Row]:
    """Objects, one a line, or in one array."""
    try:
        with (gzip.open if path.suffix.lower() == ".gz" else open)(path, "rb") as file:
            start = file.read(1024).removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
            file.seek(0)
            if start == b"[":
                yield from _array(path, file.read(LARGEST_ARRAY + 1))
            else:
                yield from _lines(path, file)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{path} cannot be read ({reason}); copy it again") from None


def _array(path: Path, data: bytes) -> Iterator[Row]:
    if len(data) > LARGEST_ARRAY:
        raise UserError(f"{path} is one JSON array of more than 2 GiB; give it as JSON lines")
    rows = _parsed(path, data, "it")
    for number, row in enumerate(rows, start=1):
        yield _object(path, row, f"row {number}")


def _lines(path: Path, lines: Any) -> Iterator[Row]:
    for number, line in enumerate(lines, start=1):
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        if line.strip():
            yield _object(path, _parsed(path, line, f"line {number}"), f"line {number}")


def _parsed(path: Path, data: bytes, place: str) -> Any:
    try:
        return json.loads(data)
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: {place} is not UTF-8 ({error.reason}); convert it") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: {place} is not JSON ({error}); mend or remove it") from None


def _object(path: Path, row: Any, place: str) -> Row:
    if not isinstance(row, dict):
        raise UserError(f"{path}: {place} is no JSON object; every row must be one")
    return row


def _parquet(path: Path) -> Iterator[Row]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UserError(
            f"reading {path} needs the `pyarrow` package: pip install pyarrow"
        ) from None
    try:
        for batch in pyarrow.parquet.ParquetFile(path).iter_batches(batch_size=512):
            yield from batch.to_pylist()
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        line = str(error).splitlines()[0]
        raise UserError(f"{path} cannot be read as Parquet ({line}); copy it again") from None
