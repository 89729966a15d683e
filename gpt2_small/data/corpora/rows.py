"""Choose the text column of rows, extract its texts, and count unreadable rows."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from gpt2_small.data.corpora.corpus import Place, RowCounts
from gpt2_small.errors import UserError, did_you_mean

TEXT_COLUMN = "text"
SKIPPED_SHARE = 0.01  # the default fraction of rows that may be unreadable
FIRST_ROWS = 1000  # up to this row the limit is that of 1000 rows
LOOKED_AT_ROWS = 1000  # the number of rows from which the column is chosen
_SURROGATES = re.compile("[\ud800-\udfff]")
_KINDS = {
    bool: "true or false",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "an object",
}


class TextRow(NamedTuple):
    """The text of a row, or the reason why it cannot be read.

    text: empty for a row without text.
    problem: the reason, or None.
    place: the position after the row.
    """

    text: str
    problem: str | None
    place: Place


def row_of(record: Any, column: str | None, place: Place) -> TextRow:
    """Extract the text of a record: the value of its column, or the record itself without columns.

    Null is an empty text. `a.b` is the value of `b` in the object `a`.
    """
    if column is None:
        value, name = record, "the row"
    elif not isinstance(record, Mapping):
        return TextRow("", f"it is {_kind(record)}, not an object", place)
    else:
        value, name = value_of(record, column), column
        if value is _MISSING:
            return TextRow("", f"it has no {column!r}", place)
    if value is None:
        return TextRow("", None, place)
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError as error:
            return TextRow("", f"its {name} is not UTF-8 (at byte {error.start})", place)
    if not isinstance(value, str):
        return TextRow("", f"its {name} is {_kind(value)}, not text", place)
    return TextRow(without_surrogates(value), None, place)


_MISSING = object()


def value_of(record: Mapping[str, Any], column: str) -> Any:
    """The value of a column, or of a field of an object for a name such as `a.b`."""
    if column in record:
        return record[column]
    value: Any = record
    for name in column.split("."):
        if not isinstance(value, Mapping) or name not in value:
            return _MISSING
        value = value[name]
    return value


def without_surrogates(text: str) -> str:
    """Replace surrogates: pairs by their character, others by U+FFFD."""
    if not _SURROGATES.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def documents_of(
    rows: Iterable[TextRow], name: str, counts: RowCounts, skipped_share: float
) -> Iterator[TextRow]:
    """The rows with text; empty and unreadable ones are counted.

    Raises:
        UserError: more than `skipped_share` of the rows are unreadable.
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
    """Check that the fraction of unreadable rows is at most `share`.

    Args:
        at_least: the assumed number of rows while fewer have been read.

    Raises:
        UserError: with the number of unreadable rows, the first of them, and the way out.
    """
    if counts.unreadable <= share * max(counts.rows, at_least):
        return
    raise UserError(
        f"{counts.unreadable:,} of {counts.rows:,} rows cannot be read ({counts.examples[0]}); "
        f"fix them, choose another --column, or leave out more than {share:.2%} of the rows with "
        f"--skip-bad-rows {rounded_up(counts.unreadable / counts.rows)}"
    )


def rounded_up(share: float) -> float:
    """Round a fraction up to three digits, for a flag's value."""
    return min(1.0, -(-share * 1000 // 1) / 1000)


def choose_column(name: str, records: Iterable[Any], column: str | None) -> str | None:
    """Choose the column of text: the given one, `text`, or the only one with text.

    None if the records are texts, without columns. Nothing is chosen beside lists of objects, which
    may be conversations.

    Raises:
        UserError: a missing column (with the existing ones), or an ambiguous choice.
    """
    texts: dict[str, None] = {}  # an ordered set
    others: dict[str, None] = {}
    objects: dict[str, None] = {}
    bare = 0
    for record in records:
        bare += isinstance(record, str)
        if isinstance(record, Mapping):
            for key, value in _leaves(record):
                (texts if isinstance(value, (str, bytes)) else others)[key] = None
                if isinstance(value, list) and any(isinstance(part, Mapping) for part in value):
                    objects[key] = None
    own = [key for key in texts if "." not in key]
    if column is None and bare and not texts:
        return None
    if column is None and TEXT_COLUMN in own:
        return TEXT_COLUMN
    if column is None and objects:
        raise UserError(
            f"{name} has lists of objects in {', '.join(objects)}; prepare conversations with "
            f"`prepare --chat`, or choose a column of text with --column "
            f"({', '.join(texts) or 'there is none'})"
        )
    if column is None and len(own) == 1:
        return own[0]
    if column in texts:
        return column
    if not texts:
        listed = f" (its columns: {', '.join(others)})" if others else ""
        raise UserError(f"{name} has no column of text{listed}; give a file that has one")
    listed = f"columns of text: {', '.join(texts)}"
    if column is None:
        raise UserError(f"{name} has these {listed}; choose one with --column")
    hint = did_you_mean(column, texts, otherwise="choose one of them")
    raise UserError(f"{name} has no text in a column {column!r}, but {listed}; {hint}")


def refuse_column(name: str, column: str | None) -> None:
    """Refuse a column of text for a folder of prepared tokens."""
    if column is not None:
        raise UserError(f"{name} holds tokens, which have no columns; leave --column out")


def guessed_column(column: str | None, chosen: Iterable[str | None]) -> list[str]:
    """A remark on the columns that were chosen without being named `text` or given."""
    guessed = {name for name in chosen if name is not None} - {TEXT_COLUMN, column}
    shown = " and ".join(map(repr, sorted(guessed)))
    return [f"The documents are the texts in the column {shown}."] if guessed else []


def _leaves(record: Mapping[str, Any], before: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in record.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{before}{key}.")
        elif value is not None:
            yield f"{before}{key}", value


def _kind(value: Any) -> str:
    return "null" if value is None else _KINDS.get(type(value), f"a {type(value).__name__}")
