"""Read Parquet files: one column from any row on, or whole rows."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gpt2_small.data.corpora.corpus import Place
from gpt2_small.data.corpora.decompression import COPY_AGAIN
from gpt2_small.errors import UserError, first_line, package_missing
from gpt2_small.files.lfs_pointers import refuse_lfs_pointer

ROWS_AT_ONCE = 1000


def parquet_kinds(path: Path) -> dict[str, str]:
    """The columns, with fields of objects as `a.b`, and their kinds: `text`, `bytes` or another."""
    with _parquet(path) as file:
        return dict(kinds_of(file.schema_arrow))


def parquet_values(path: Path, column: str, place: Place | None) -> Iterator[tuple[Any, Place]]:
    """The values of a column, text as UTF-8 bytes, with the position after each row.

    Raises:
        UserError: a damaged file.
    """
    first_group, first_row = (place["group"], place["row"]) if place else (0, 0)
    with _parquet(path) as file:
        for group in range(first_group, file.num_row_groups):
            row = 0
            batches = file.iter_batches(ROWS_AT_ONCE, row_groups=[group], columns=[column])
            for batch in batches:
                values = batch.column(0)
                if row + len(values) > first_row or group > first_group:
                    for number, value in enumerate(as_bytes(values).to_pylist(), start=row + 1):
                        if number > first_row or group > first_group:
                            yield value, {"group": group, "row": number}
                row += len(values)


def parquet_rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a file with all columns.

    Raises:
        UserError: a damaged file.
    """
    with _parquet(path) as file:
        for batch in file.iter_batches(ROWS_AT_ONCE):
            yield from batch.to_pylist()


def parquet_size(path: Path, column: str) -> tuple[int, int]:
    """The number of rows, and the approximate bytes of a column."""
    with _parquet(path) as file:
        metadata = file.metadata
        chunks = [
            metadata.row_group(group).column(number)
            for group in range(metadata.num_row_groups)
            for number in range(metadata.num_columns)
        ]
        size = sum(c.total_uncompressed_size for c in chunks if c.path_in_schema == column)
        return metadata.num_rows, size


@contextmanager
def _parquet(path: Path) -> Iterator[Any]:
    check_pyarrow(path)
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            yield file
    except (OSError, pyarrow.ArrowException) as error:
        refuse_lfs_pointer(path)
        raise UserError(f"{path} is damaged ({first_line(error)}); {COPY_AGAIN}") from None


def check_pyarrow(path: Path) -> None:
    """Raises UserError, with the file's name, when `pyarrow` is not installed."""
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise package_missing(f"reading {path}", "pyarrow") from None


def kinds_of(fields: Any, before: str = "") -> Iterator[tuple[str, str]]:
    """The fields of a schema, those of objects as `a.b`, and their kinds, as in `parquet_kinds`."""
    from pyarrow import types

    for field in fields:
        kind = field.type
        if types.is_dictionary(kind):
            kind = kind.value_type
        if types.is_struct(kind):
            yield from kinds_of(
                [kind.field(i) for i in range(kind.num_fields)], f"{before}{field.name}."
            )
        elif types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
            yield f"{before}{field.name}", "text"
        else:
            is_bytes = types.is_binary(kind) or types.is_large_binary(kind)
            yield f"{before}{field.name}", "bytes" if is_bytes else str(kind)


def as_bytes(values: Any) -> Any:
    """Convert a column of text to bytes, since its texts may be invalid UTF-8."""
    import pyarrow
    from pyarrow import types

    while types.is_struct(values.type):
        values = pyarrow.compute.struct_field(values, [0])
    if types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if types.is_string_view(values.type):
        values = values.cast(pyarrow.large_string())
    if types.is_string(values.type):
        return values.cast(pyarrow.binary())
    return values.cast(pyarrow.large_binary()) if types.is_large_string(values.type) else values
