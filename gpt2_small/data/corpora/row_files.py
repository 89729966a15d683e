"""Read the text column of files of rows: JSON lines, JSON, CSV, Parquet, Arrow."""

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from gpt2_small.data.corpora.corpus import Place, document_hash
from gpt2_small.data.corpora.decompression import BLOCK_BYTES
from gpt2_small.data.corpora.open_files import (
    COMPRESSED_SUFFIXES,
    PARQUET,
    is_plain,
    open_bytes,
    raw_beginning,
)
from gpt2_small.data.corpora.row_formats.arrow_rows import arrow_kinds, arrow_size, arrow_values
from gpt2_small.data.corpora.row_formats.csv_rows import csv_header, csv_rows
from gpt2_small.data.corpora.row_formats.json_rows import (
    is_array,
    is_single_object,
    json_array,
    json_lines,
    json_object,
)
from gpt2_small.data.corpora.row_formats.parquet_rows import (
    parquet_kinds,
    parquet_size,
    parquet_values,
)
from gpt2_small.data.corpora.rows import (
    LOOKED_AT_ROWS,
    TEXT_COLUMN,
    TextRow,
    choose_column,
    row_of,
    value_of,
)
from gpt2_small.errors import UserError
from gpt2_small.files.hashes import sha256

SUFFIXES = {
    ".jsonl": "lines",
    ".ndjson": "lines",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".arrow": "arrow",
}
# Readers of columnar formats: of the list of columns, of one column, and of its size.
COLUMNAR = {
    "parquet": (parquet_kinds, parquet_values, parquet_size),
    "arrow": (arrow_kinds, arrow_values, arrow_size),
}


def row_format(path: Path) -> str | None:
    """The format of a file: `lines`, `json`, `csv`, `parquet` or `arrow`; None without rows."""
    name = path.name.lower()
    for suffix in COMPRESSED_SUFFIXES:
        name = name.removesuffix(suffix)
    found = SUFFIXES.get(Path(name).suffix)
    return found or ("parquet" if raw_beginning(path, 4) == PARQUET else None)


class ObjectWithoutText(UserError):
    """A file with one JSON object that is not a document."""


class RowFile:
    """A file of rows; the texts of one column are the documents.

    Args:
        column: of text; None for `text`, or the only column of text.

    Raises UserError for an unreadable file, and for an ambiguous column.
    """

    def __init__(self, path: Path, column: str | None) -> None:
        self.path = path
        self._format = row_format(path)
        if self._format == "json":
            single = "object" if is_single_object(path) else "lines"
            self._format = "array" if is_array(path) else single
        elif self._format == "lines" and is_array(path):
            self._format = "array"
        if self._format in COLUMNAR:
            kinds = COLUMNAR[self._format][0](path)
            self.column: str | None = _columnar_column(path, kinds, column)
        elif self._format == "csv":
            self.column = _csv_column(path, csv_header(path), column)
        elif self._format == "object":
            self.column = _object_column(path, next(json_object(path, 0))[0], column)
        else:
            records = (record for record, _ in islice(self._records(0), LOOKED_AT_ROWS))
            self.column = choose_column(str(path), records, column)
        self.sha256 = sha256(path)
        self.documents, self.bytes = self._size()

    def rows(self, place: Place | None = None) -> Iterator[TextRow]:
        """The rows after a position, or all of them, including those without text.

        Raises:
            UserError: a damaged or truncated file.
        """
        if self._format in COLUMNAR:
            assert self.column is not None
            for value, after in COLUMNAR[self._format][1](self.path, self.column, place):
                yield row_of({self.column: value}, self.column, after)
            return
        for record, offset in self._records(place["byte"] if place else 0):
            after = {"byte": offset}
            if isinstance(record, ValueError):
                yield TextRow("", str(record), after)
            else:
                yield row_of(record, self.column, after)

    def hashes(self) -> Iterator[bytes]:
        """The hash of each document."""
        return (document_hash(row.text.encode()) for row in self.rows() if row.text)

    def _records(self, offset: int) -> Iterator[tuple[Any, int]]:
        readers = {
            "lines": json_lines,
            "array": json_array,
            "object": json_object,
            "csv": csv_rows,
        }
        return readers[str(self._format)](self.path, offset)

    def _size(self) -> tuple[int, int]:
        """The approximate numbers of documents and bytes, whatever the encoding or compression."""
        if self._format in COLUMNAR:
            assert self.column is not None
            return COLUMNAR[self._format][2](self.path, self.column)
        read = text = rows = 0
        for row in islice(self.rows(), LOOKED_AT_ROWS):
            read, text, rows = row.place["byte"], text + len(row.text.encode()), rows + 1
        if not read:
            return 0, 0
        if self._format != "lines" and is_plain(self.path):
            total = self.path.stat().st_size
        else:
            total, lines = _count_bytes_and_lines(self.path)
        documents = lines if self._format == "lines" else total * rows // read
        return documents, total * text // read


def _columnar_column(path: Path, kinds: dict[str, str], column: str | None) -> str:
    if column is not None and kinds.get(column) == "bytes":
        return column
    found = choose_column(str(path), [_example(kinds)], column)
    assert found is not None
    return found


def _example(kinds: dict[str, str]) -> dict[str, Any]:
    """A record with these columns, for `choose_column`."""
    record: dict[str, Any] = {}
    for name, kind in kinds.items():
        *objects, leaf = name.split(".")
        inner = record
        for each in objects:
            inner = inner.setdefault(each, {})
        is_list_of_objects = "list" in kind.partition("<")[0] and "struct<" in kind
        inner[leaf] = "text" if kind == "text" else [{}] if is_list_of_objects else 0
    return record


def _object_column(path: Path, record: Any, column: str | None) -> str:
    """The text field of a single object, which is never guessed: it may be a settings file."""
    wanted = TEXT_COLUMN if column is None else column
    if isinstance(record, Mapping) and isinstance(value_of(record, wanted), str):
        return wanted
    raise ObjectWithoutText(
        f"{path} is one JSON object without a text in {wanted!r}; give an array of objects or an "
        "object a line, or choose a field with --column"
    )


def _csv_column(path: Path, header: list[str], column: str | None) -> str:
    """The text column of a CSV file, never guessed: the first line may not contain names."""
    wanted = TEXT_COLUMN if column is None else column
    if header.count(wanted) > 1:
        raise UserError(f"{path} has {header.count(wanted)} columns {wanted!r}; rename all but one")
    if wanted in header:
        return wanted
    shown = ", ".join(name[:40] for name in header)
    raise UserError(
        f"{path} has no column {wanted!r} in its first line, which is: {shown}; "
        "choose one with --column"
    )


def _count_bytes_and_lines(path: Path) -> tuple[int, int]:
    """The numbers of bytes and lines of a file, decompressed and converted to UTF-8."""
    total = lines = 0
    with open_bytes(path) as file:
        while block := file.read(BLOCK_BYTES):
            total, lines = total + len(block), lines + block.count(b"\n")
    return total, lines
