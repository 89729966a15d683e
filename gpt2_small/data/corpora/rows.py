"""Find the text in the rows of JSON, CSV and Parquet files and of data sets."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from gpt2_small.data.corpora.corpus import Place, RowCounts
from gpt2_small.errors import UserError, did_you_mean

TEXT_COLUMN = "text"
SKIPPED_SHARE = 0.01  # of the rows, at most, where the user does not say
FIRST_ROWS = 1000  # until which as many may be unreadable as of 1000
LOOKED_AT_ROWS = 1000  # from which the column of the text is chosen
_SURROGATES = re.compile("[\ud800-\udfff]")
_KINDS = {
    bool: "true or false",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "an object",
}


class TextRow(NamedTuple):
    """The text of a row, or the reason that it has none.

    text: empty where the row has none.
    problem: why no text could be read, or None.
    place: where the row ends.
    """

    text: str
    problem: str | None
    place: Place


def row_of(record: Any, column: str | None, place: Place) -> TextRow:
    """The text of a record: a value of its column, or the record itself where there are no columns.

    A text that is null is empty. `a.b` is the value of `b` in the object `a`.
    """
    if column is None:
        value, what = record, "the row"
    elif not isinstance(record, Mapping):
        return TextRow("", f"it is {_kind(record)}, not an object", place)
    else:
        value, what = value_of(record, column), column
        if value is _MISSING:
            return TextRow("", f"it has no {column!r}", place)
    if value is None:
        return TextRow("", None, place)
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError as error:
            return TextRow("", f"its {what} is not UTF-8 (at byte {error.start})", place)
    if not isinstance(value, str):
        return TextRow("", f"its {what} is {_kind(value)}, not text", place)
    return TextRow(without_surrogates(value), None, place)


_MISSING = object()


def value_of(record: Mapping[str, Any], column: str) -> Any:
    """The value of a column, or of a field inside one for a name such as `a.b`."""
    if column in record:
        return record[column]
    value: Any = record
    for name in column.split("."):
        if not isinstance(value, Mapping) or name not in value:
            return _MISSING
        value = value[name]
    return value


def without_surrogates(text: str) -> str:
    """Text that UTF-8 can say: pairs become their character, lone surrogates U+FFFD."""
    if not _SURROGATES.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def documents_of(
    rows: Iterable[TextRow], name: str, counts: RowCounts, skipped_share: float
) -> Iterator[TextRow]:
    """The rows with text; the others are counted.

    Raises:
        UserError: more than `skipped_share` of the rows cannot be read.
    """
    for row in rows:
        counts.rows += 1
        if row.problem:
            counts.skip(f"{name}, row {counts.rows:,}: {row.problem}")
            check_skipped(counts, skipped_share, at_least=FIRST_ROWS)
        elif row.text:
            yield row
        else:
            counts.empty += 1


def check_skipped(counts: RowCounts, share: float, *, at_least: int = 0) -> None:
    """Refuse more unreadable rows than are to be left out.

    Args:
        at_least: rows that are supposed to be there, though fewer have been read.

    Raises:
        UserError: with how many they are, the first of them, and the way out.
    """
    if counts.unreadable <= share * max(counts.rows, at_least):
        return
    raise UserError(
        f"{counts.unreadable:,} of {counts.rows:,} rows cannot be read ({counts.examples[0]}); "
        f"mend them, choose another --column, or leave out more than {share:.2%} of the rows with "
        f"--skip-bad-rows {rounded_up(counts.unreadable / counts.rows)}"
    )


def rounded_up(share: float) -> float:
    """A share as a flag's value that includes it."""
    return min(1.0, -(-share * 1000 // 1) / 1000)


def choose_column(name: str, records: Iterable[Any], column: str | None) -> str | None:
    """The column that is the text: the one asked for, `text`, or the only one with text in it.

    None where the records are texts themselves, without columns.

    Raises:
        UserError: no such column (with those that there are), or several.
    """
    texts: dict[str, None] = {}  # in the order in which they come
    others: dict[str, None] = {}
    bare = 0
    for record in records:
        bare += isinstance(record, str)
        if isinstance(record, Mapping):
            for key, value in _leaves(record):
                (texts if isinstance(value, (str, bytes)) else others)[key] = None
    own = [key for key in texts if "." not in key]
    if column is None and bare and not texts:
        return None
    if column is None and TEXT_COLUMN in own:
        return TEXT_COLUMN
    if column is None and len(own) == 1:
        return own[0]
    if column in texts:
        return column
    asked = f"no text in a column {column!r}" if column else "several columns of text or none"
    hint = did_you_mean(column, texts) if column else "choose one with --column"
    listed = ", ".join(texts) or f"none (others: {', '.join(others) or 'none'})"
    raise UserError(f"{name} has {asked}; its columns of text are: {listed}. {hint}".rstrip())


def _leaves(record: Mapping[str, Any], before: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in record.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{before}{key}.")
        elif value is not None:
            yield f"{before}{key}", value


def _kind(value: Any) -> str:
    return "null" if value is None else _KINDS.get(type(value), f"a {type(value).__name__}")
