"""Read a data set of the Hugging Face Hub as a corpus, streamed with the `datasets` library."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

from gpt2_small.data.corpora.corpus import (
    Piece,
    Place,
    RowCounts,
    always_held_out,
    document_hash,
    limited,
)
from gpt2_small.data.corpora.rows import (
    SKIPPED_SHARE,
    TextRow,
    check_skipped,
    choose_column,
    documents_of,
    guessed_column,
    row_of,
)
from gpt2_small.errors import UserError, first_line, package_missing
from gpt2_small.network import interruptible, within
from gpt2_small.tokenizers.gpt2_table import is_offline

ANSWER_SECONDS = 5.0
ROWS_AT_ONCE = 100
PARQUET_COPY = "refs/convert/parquet"  # the Hub's automatic conversion


class HubCorpus:
    """The documents of one split of a data set, one in each row, downloaded as they are read.

    Args:
        name: as given by the user.
        data_set: `OWNER/NAME`, optionally with `@REVISION` and `:CONFIG`.
        column: of text; None for `text`, or the only column of text.
        split: None for `train`, or the first split.
        revision: overrides the one in the name.
        limit: the number of documents to read; None for all.
        most_characters: the amount of text to read; None for all.
        documents, bytes: the approximate size, if the data set has no metadata.
        skipped_share: the fraction of rows that may be unreadable.

    Raises UserError when `datasets` is not installed, when the data set does not exist or cannot be
    reached, and for an ambiguous column.
    """

    def __init__(
        self,
        name: str,
        data_set: str,
        *,
        column: str | None = None,
        split: str | None = None,
        revision: str | None = None,
        limit: int | None = None,
        most_characters: int | None = None,
        documents: int | None = None,
        bytes: int | None = None,
        skipped_share: float = SKIPPED_SHARE,
    ) -> None:
        self.name, self.limit = name, limit
        self._data_set, self._skipped_share = data_set, skipped_share
        self._most_characters = most_characters
        path, config, in_name = _parts(data_set)
        sha = _ask_hub(path, revision or in_name)
        splits = _load(data_set, {"path": path, "name": config, "revision": sha})
        split = _choose_split(data_set, list(splits), split)
        self._select_column(splits[split], column)
        self.origin: dict[str, Any] = {
            "data_set": data_set,
            "revision": sha,
            "split": split,
            "column": self._column,
        }
        counted = (splits[split].info.splits or {}).get(split)
        if counted:
            documents, bytes = counted.num_examples or documents, counted.num_bytes or bytes
        if most_characters is not None:
            self.origin["most_characters"] = most_characters
            documents, bytes = None, min(bytes or most_characters, most_characters)
        self.documents, self.bytes = limited(documents, bytes, limit)
        self.left_out: dict[str, str] = {}
        self.remarks = guessed_column(column, [self._column])
        self.place: Place = {}
        self.counts = RowCounts()
        self._choose_held_out()

    def _select_column(self, rows: Any, column: str | None) -> None:
        """Choose the column of text by the first rows, and read only that one."""
        with _errors_as_sentences(self._data_set):
            first = list(islice(_records(rows), ROWS_AT_ONCE))
        if not first:
            raise UserError(f"the data set {self._data_set!r} is empty")
        self._column = choose_column(f"the data set {self._data_set!r}", first, column)
        self._rows = rows.select_columns([str(self._column).partition(".")[0]])

    def _choose_held_out(self) -> None:
        """Choose the document that is always held out; of few, the last tenth of each is."""
        texts = (row.text for row in self._read(None) if row.text)
        self.always_held_out = always_held_out(
            document_hash(text.encode()) for text in islice(texts, self.limit)
        )
        self.cuts_documents = self.always_held_out is None
        if self.cuts_documents:
            self.remarks.append(
                "Fewer than ten different documents: the last tenth of each is held out."
            )

    def pieces(self, place: Place | None = None) -> Iterator[Piece]:
        """One piece for each row with text.

        Raises:
            UserError: a failed download, or too many unreadable rows.
        """
        number, read = (place["number"], place["characters"]) if place else (0, 0)
        self.counts = RowCounts.from_json(place["counts"]) if place else RowCounts()
        rows = self._read(place["at"] if place else None)
        documents = documents_of(rows, self.name, self.counts, self._skipped_share)
        while not self._is_enough(number, read) and (row := next(documents, None)):
            number, read = number + 1, read + len(row.text)
            counts = self.counts.as_json()
            self.place = {"at": row.place, "number": number, "characters": read, "counts": counts}
            yield Piece(row.text, "cut" if self.cuts_documents else None)
        check_skipped(self.counts, self._skipped_share)

    def _is_enough(self, documents: int, characters: int) -> bool:
        most = self._most_characters
        return documents == self.limit or (most is not None and characters >= most)

    def _read(self, at: Place | None) -> Iterator[TextRow]:
        state, passed = (at["rows"], at["passed"]) if at else (None, 0)
        self._rows.load_state_dict(state)
        with _errors_as_sentences(self._data_set):
            for batch in interruptible(self._rows.iter(ROWS_AT_ONCE)):
                records = islice(_records_of(batch), passed, None)
                for number, record in enumerate(records, start=passed + 1):
                    yield row_of(record, self._column, {"rows": state, "passed": number})
                state, passed = self._rows.state_dict(), 0


def rows_of(
    name: str, *, split: str | None = None
) -> tuple[Iterator[dict[str, Any]], dict[str, Any]]:
    """Read the rows of a data set's split with all columns; also returns its origin.

    Args:
        name: as `data_set` of `HubCorpus`.
        split: as in `HubCorpus`.

    Raises:
        UserError: as `HubCorpus`.
    """
    path, config, in_name = _parts(name)
    revision = _ask_hub(path, in_name)
    splits = _load(name, {"path": path, "name": config, "revision": revision})
    chosen = _choose_split(name, list(splits), split)

    def rows() -> Iterator[dict[str, Any]]:
        with _errors_as_sentences(name):
            yield from _records(splits[chosen])

    return rows(), {"data_set": name, "revision": revision, "split": chosen}


def _records(rows: Any) -> Iterator[dict[str, Any]]:
    """The rows of a split, with all columns."""
    for batch in interruptible(rows.iter(ROWS_AT_ONCE)):
        yield from _records_of(batch)


def _records_of(batch: dict[str, list[Any]]) -> Iterator[dict[str, Any]]:
    for values in zip(*batch.values(), strict=True):
        yield dict(zip(batch, values, strict=True))


def _parts(name: str) -> tuple[str, str | None, str | None]:
    """Path, config and revision of `PATH@REVISION:CONFIG`."""
    path, _, config = name.partition(":")
    path, _, revision = path.partition("@")
    return path, config or None, revision or None


def _load(name: str, arguments: dict[str, Any]) -> Any:
    """The splits of a data set, by name."""
    datasets = _import_datasets(name)
    try:
        return within(None, lambda: datasets.load_dataset(**arguments, streaming=True))
    except Exception as error:  # its exceptions have no common base
        way_out = ""
        if "scripts are no longer supported" in str(error):
            way_out = f"; try the Hub's own conversion, hub:{_parts(name)[0]}@{PARQUET_COPY}"
        raise UserError(
            f"the data set {name!r} cannot be opened ({first_line(error)}){way_out}"
        ) from None


def _import_datasets(name: str) -> Any:
    try:
        import datasets
    except ImportError:
        raise package_missing(f"reading {name}", "datasets") from None
    return datasets


def _ask_hub(name: str, revision: str | None) -> str | None:
    """Request a data set's commit with a time limit; `datasets` retries for half a minute."""
    _import_datasets(f"hub:{name}")
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    way_out = "use a text file of your own"
    if is_offline():
        raise UserError(f"the data set {name!r} is unavailable offline; {way_out}")
    asked: dict[str, Any] = {"revision": revision} if revision else {}
    try:
        ask = huggingface_hub.HfApi().dataset_info
        answer = within(None, lambda: ask(name, timeout=ANSWER_SECONDS, **asked))
    except HFValidationError as error:
        raise UserError(f"{name!r} is not a valid name on the Hub ({first_line(error)})") from None
    except HfHubHTTPError as error:
        raise UserError(
            f"the Hub refused the data set {name!r} ({first_line(error)}); check the name, "
            f"or {way_out}"
        ) from None
    except Exception as error:  # the client's network errors differ between its versions
        raise UserError(
            f"the Hub cannot be reached for the data set {name!r} ({first_line(error)}); {way_out}"
        ) from None
    return answer.sha or revision


def _choose_split(name: str, splits: list[str], split: str | None) -> str:
    if split is None:
        return "train" if "train" in splits else splits[0]
    if split not in splits:
        raise UserError(
            f"the data set {name!r} has no split {split!r}; its splits are: {', '.join(splits)}"
        )
    return split


@contextmanager
def _errors_as_sentences(name: str) -> Iterator[None]:
    """In this context, turn errors of reading into a UserError, without log messages."""
    handlers = logging.getLogger("datasets").handlers
    for handler in handlers:
        handler.addFilter(_no_error)
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # errors of the network, the parsers and the Hub's client
        raise UserError(
            f"the data set {name!r} cannot be read further ({first_line(error)})"
        ) from None
    finally:
        for handler in handlers:
            handler.removeFilter(_no_error)


def _no_error(record: logging.LogRecord) -> bool:
    return record.levelno < logging.ERROR
