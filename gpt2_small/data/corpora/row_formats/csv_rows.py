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
    header, _ = next(_records(path, _delimiter(path), 0), (None, 0))
    if header is None or isinstance(header, NotCsv):
        raise UserError(f"{path} has no first line with the names of its columns; add one")
    return header


def csv_rows(path: Path, offset: int) -> Iterator[tuple[Any, int]]:
    """The record of each row, or NotCsv, with the offset after it.

    Raises:
        UserError: as `open_bytes`.
    """
    header, delimiter = csv_header(path), _delimiter(path)
    for number, (fields, end) in enumerate(_records(path, delimiter, offset)):
        if offset == 0 and number == 0:
            continue
        if isinstance(fields, NotCsv):
            yield fields, end
        elif len(fields) != len(header):
            yield NotCsv(f"it has {len(fields)} fields, and the header {len(header)}"), end
        else:
            yield dict(zip(header, fields, strict=True)), end


def _records(path: Path, delimiter: str, offset: int) -> Iterator[tuple[list[str] | NotCsv, int]]:
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # by default 131,072 characters
    with open_bytes(path, offset) as file:

        def lines() -> Iterator[str]:
            nonlocal offset
            while line := file.readline(LONGEST_LINE):
                offset += len(line)
                yield line.decode("utf-8", "surrogateescape")

        reader = csv.reader(lines(), delimiter=delimiter, strict=True)
        while True:
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield NotCsv(f"it is not CSV ({error})"), offset
                continue
            if not fields:
                continue
            if any("\udc80" <= c <= "\udcff" for field in fields for c in field):
                yield NotCsv("it is not UTF-8"), offset
            else:
                yield fields, offset


def _delimiter(path: Path) -> str:
    with open_bytes(path) as file:
        first = file.readline(LONGEST_LINE).decode("utf-8", "replace")
    return max(DELIMITERS, key=first.count)
