"""Read Arrow files, as saved by `datasets`: one column from any row on, or whole rows."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gpt2_small.data.corpora.corpus import Place
from gpt2_small.data.corpora.decompression import COPY_AGAIN
from gpt2_small.data.corpora.open_files import raw_beginning
from gpt2_small.data.corpora.row_formats.parquet_rows import (
    ROWS_AT_ONCE,
    as_bytes,
    check_pyarrow,
    kinds_of,
)
from gpt2_small.errors import UserError, first_line

FILE = b"ARROW1"  # the magic bytes of Arrow's file format; its stream format has none
END_OF_STREAM = b"\xff\xff\xff\xff\0\0\0\0"


def arrow_kinds(path: Path) -> dict[str, str]:
    """The columns and their kinds, as in `parquet_kinds`."""
    with _opened(path) as (schema, _):
        return dict(kinds_of(schema))


def arrow_values(path: Path, column: str, place: Place | None) -> Iterator[tuple[Any, Place]]:
    """The values of a column, text as UTF-8 bytes, with the position after each row.

    Raises:
        UserError: a damaged file.
    """
    first_batch, first_row = (place["batch"], place["row"]) if place else (0, 0)
    with _opened(path) as (_, batches):
        for number, batch in enumerate(batches):
            if number < first_batch:
                continue
            values = _column(batch, column)
            begin = first_row if number == first_batch else 0
            for start in range(begin, len(values), ROWS_AT_ONCE):
                texts = as_bytes(values.slice(start, ROWS_AT_ONCE)).to_pylist()
                for row, value in enumerate(texts, start=start + 1):
                    yield value, {"batch": number, "row": row}


def arrow_rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a file with all columns.

    Raises:
        UserError: a damaged file.
    """
    with _opened(path) as (_, batches):
        for batch in batches:
            for start in range(0, len(batch), ROWS_AT_ONCE):
                yield from batch.slice(start, ROWS_AT_ONCE).to_pylist()


def arrow_size(path: Path, column: str) -> tuple[int, int]:
    """The number of rows, and the bytes of a column."""
    rows = size = 0
    with _opened(path) as (_, batches):
        for batch in batches:
            rows, size = rows + len(batch), size + _column(batch, column).nbytes
    return rows, size


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Iterator[Any]]]:
    """Open a file, and give its schema and batches.

    It is not memory-mapped, because a mapped file that shrinks would crash the process.
    """
    check_pyarrow(path)
    import pyarrow
    import pyarrow.ipc

    try:
        with pyarrow.OSFile(str(path)) as file:
            if raw_beginning(path, len(FILE)) == FILE:
                reader = pyarrow.ipc.open_file(file)
                batches = map(reader.get_batch, range(reader.num_record_batches))
            else:
                _check_end(path, file)
                reader = pyarrow.ipc.open_stream(file)
                batches = iter(reader)
            yield reader.schema, batches
    except (OSError, pyarrow.ArrowException) as error:
        raise UserError(f"{path} is damaged ({first_line(error)}); {COPY_AGAIN}") from None


def _check_end(path: Path, file: Any) -> None:
    """Raises UserError for a truncated stream, which Arrow reads without error."""
    file.seek(max(0, file.size() - len(END_OF_STREAM)))
    end = file.read()
    file.seek(0)
    if end != END_OF_STREAM:
        raise UserError(f"{path} is damaged (it is truncated); {COPY_AGAIN}")


def _column(batch: Any, column: str) -> Any:
    """A column of a batch; `a.b` is the field `b` of the objects in `a`."""
    import pyarrow.compute

    if column in batch.schema.names:
        return batch.column(column)
    first, *fields = column.split(".")
    return pyarrow.compute.struct_field(batch.column(first), fields)
