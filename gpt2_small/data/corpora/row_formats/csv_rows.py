"""Read the records of CSV and TSV files, one at a time."""

import csv
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gpt2_small.data.corpora.open_files import open_bytes
from gpt2_small.data.corpora.row_formats.json_rows import LONGEST_LINE
from gpt2_small.errors import UserError

DELIMITERS = ",;\t|"


class NotCsv(ValueError):
    """An unreadable row. The message is the reason."""


def csv_header(path: Path) -> list[str]:
    """The names of the columns, from the first line.

    Raises:
        UserError: as `open_bytes`, or an unreadable first line.
    """
    header, _, _ = next(_records(path, _delimiter(path), 0), (None, 0, 0))
    if header is None or isinstance(header, NotCsv):
        raise UserError(f"{path} has no first line with the names of its columns; add one")
    return header


def csv_rows(path: Path, offset: int) -> Iterator[tuple[Any, int]]:
    """The record of each row, with the offset after it; NotCsv for each line of a damaged row.

    An unclosed quote turns the lines after it into one row.

    Raises:
        UserError: as `open_bytes`.
    """
    header, delimiter = csv_header(path), _delimiter(path)
    for number, (fields, lines, end) in enumerate(_records(path, delimiter, offset)):
        if offset == 0 and number == 0:
            continue
        if isinstance(fields, list) and len(fields) != len(header):
            fields = NotCsv(f"it has {len(fields)} fields, and the header {len(header)}")
        if isinstance(fields, NotCsv):
            yield from [(fields, end)] * lines
        else:
            yield dict(zip(header, fields, strict=True)), end


def _records(
    path: Path, delimiter: str, offset: int
) -> Iterator[tuple[list[str] | NotCsv, int, int]]:
    """The fields of each row, the number of its lines, and the offset after it."""
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # by default 131,072 characters
    with open_bytes(path, offset) as file:
        lines_read = 0

        def lines() -> Iterator[str]:
            nonlocal offset, lines_read
            while line := file.readline(LONGEST_LINE):
                offset, lines_read = offset + len(line), lines_read + 1
                yield line.decode("utf-8", "surrogateescape")

        reader = csv.reader(lines(), delimiter=delimiter, strict=True)
        while True:
            lines_read = 0
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield NotCsv(f"it is not CSV ({error})"), lines_read, offset
                continue
            if not fields:
                continue
            if any("\udc80" <= c <= "\udcff" for field in fields for c in field):
                yield NotCsv("it is not UTF-8"), lines_read, offset
            else:
                yield fields, lines_read, offset


def _delimiter(path: Path) -> str:
    """The delimiter: a tab in a TSV file, else the most frequent one in the first line."""
    if ".tsv" in Path(path.name.lower()).suffixes[-2:]:
        return "\t"
    with open_bytes(path) as file:
        first = file.readline(LONGEST_LINE).decode("utf-8", "replace")
    return max(DELIMITERS, key=first.count)
