"""Read the rows of a file of conversations: JSON lines, a JSON array, Parquet, Arrow."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gpt2_small.data.conversations.record_shapes import Record
from gpt2_small.data.corpora.row_files import row_format
from gpt2_small.data.corpora.row_formats.arrow_rows import arrow_rows
from gpt2_small.data.corpora.row_formats.json_rows import (
    NotJson,
    is_array,
    is_single_object,
    json_array,
    json_lines,
    json_object,
)
from gpt2_small.data.corpora.row_formats.parquet_rows import parquet_rows
from gpt2_small.errors import UserError
from gpt2_small.files.special_files import refuse_pipe


def read_rows(path: Path) -> Iterator[Record]:
    """Read the rows of a file, in order; JSON may be compressed.

    Raises UserError, with the row, for a file that is damaged, empty or of another format.
    """
    refuse_pipe(path)
    if path.is_dir():
        raise UserError(f"{path} is a folder; give one file of conversations")
    kind = row_format(path)
    if kind not in ("lines", "json", "parquet", "arrow"):
        raise UserError(
            f"{path} has none of the suffixes .jsonl, .json, .parquet and .arrow; give a file of "
            "conversations in one of these formats"
        )
    number = 0
    for number, record in enumerate(_records(path, kind), start=1):
        if isinstance(record, NotJson):
            raise UserError(f"{path}, row {number:,}: {record}; fix or remove it")
        if not isinstance(record, dict):
            raise UserError(f"{path}, row {number:,} is not a JSON object; every row must be one")
        yield record
    if not number:
        raise UserError(f"{path} holds no rows; give a file of conversations")


def _records(path: Path, kind: str) -> Iterator[Any]:
    columnar = {"parquet": parquet_rows, "arrow": arrow_rows}
    if kind in columnar:
        yield from columnar[kind](path)
        return
    records = json_array if is_array(path) else json_lines
    if kind == "json" and is_single_object(path):
        records = json_object
    for record, _ in records(path, 0):
        yield record
