"""Documents of a data set, streamed with the `datasets` library."""

import glob
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gpt2_small.errors import UserError
from gpt2_small.tokenizers.gpt2_table import is_offline

ANSWER_SECONDS = 5.0
ROWS_AT_ONCE = 100
FILE_KINDS = {".jsonl": "json", ".json": "json", ".parquet": "parquet"}
COMPRESSED = (".gz", ".bz2", ".xz", ".zst")
PARQUET_COPY = "refs/convert/parquet"  # which the hub makes of every data set, where it can

Place = dict[str, Any]


class DataSet:
    """One split of a data set, whose documents can be read from any place on.

    Nothing is downloaded beyond what is read. Rows without text are passed over.

    Args:
        name: `OWNER/NAME`, with `@REVISION` and `:CONFIG` after it where wanted, or a local folder
            or file of JSON lines or Parquet.
        column: which column is the text; `text`, or the only column of strings, when None.
        split: `train`, or the first there is, when None.
        revision: takes the place of the one in the name.

    Raises:
        UserError: `datasets` is not installed, the data set is not there or cannot be reached, or
            no column is the text.
    """

    def __init__(
        self,
        name: str,
        *,
        column: str | None = None,
        split: str | None = None,
        revision: str | None = None,
    ) -> None:
        self.name = name
        self.revision: str | None = None
        if Path(name).exists():
            splits = _load(name, _local(Path(name)))
        else:
            path, config, in_name = _parts(name)
            self.revision = _ask_hub(path, revision or in_name)
            splits = _load(name, {"path": path, "name": config, "revision": self.revision})
        self.split = _choose_split(name, list(splits), split)
        rows = splits[self.split]
        self.column = self._text_column(rows, column)
        self._rows = rows.select_columns([self.column])
        self._place: Place = {"rows": None, "passed": 0}
        counted = (rows.info.splits or {}).get(self.split)
        self.documents: int | None = counted.num_examples if counted else None
        self.bytes: int | None = counted.num_bytes if counted else None

    @property
    def place(self) -> Place:
        """Where the document last read ends, as JSON values; what follows it starts there."""
        return dict(self._place)

    def read(self, place: Place | None = None) -> Iterator[str]:
        """Documents in order, from a place on or from the first.

        Raises:
            UserError: a row that cannot be read or reached.
        """
        state, passed = (place["rows"], place["passed"]) if place else (None, 0)
        self._rows.load_state_dict(state)
        with _told(self.name):
            for rows in self._rows.iter(ROWS_AT_ONCE):
                for number, document in enumerate(rows[self.column][passed:], start=passed + 1):
                    self._place = {"rows": state, "passed": number}
                    if document:
                        yield document
                state, passed = self._rows.state_dict(), 0

    def _text_column(self, rows: Any, column: str | None) -> str:
        with _told(self.name):
            first = next(iter(rows), None)
        if first is None:
            raise UserError(f"the data set {self.name!r} is empty.")
        return _text_column(self.name, first, column)


def read_documents(name: str, *, max_characters: int, column: str | None = None) -> Iterator[str]:
    """Documents of the `train` split, in order, until they hold `max_characters` together.

    Args:
        name: as for `DataSet`.
        max_characters: the last document is the one that reaches it.
        column: which column is the text; `text`, or the only column of strings, when None.

    Raises:
        UserError: as `DataSet`.
    """
    left = max_characters
    for document in DataSet(name, column=column).read():
        yield document
        left -= len(document)
        if left <= 0:
            return


def rows_of(name: str) -> tuple[Iterator[dict[str, Any]], dict[str, Any]]:
    """All columns of the rows of a data set's `train` split, and how to know it again.

    Args:
        name: as for `DataSet`.

    Raises:
        UserError: as `DataSet`.
    """
    path, config, in_name = _parts(name)
    revision = None if Path(name).exists() else _ask_hub(path, in_name)
    given = {"path": path, "name": config, "revision": revision}
    splits = _load(name, _local(Path(name)) if Path(name).exists() else given)
    split = _choose_split(name, list(splits), None)

    def rows() -> Iterator[dict[str, Any]]:
        with _told(name):
            yield from splits[split]

    return rows(), {"data_set": name, "revision": revision, "split": split}


def file_kind(path: Path) -> str | None:
    """Whether a file is `json` or `parquet`, by its name; JSON may be compressed."""
    suffix = path.suffix.lower()
    if suffix in COMPRESSED:
        return "json" if FILE_KINDS.get(Path(path.stem).suffix.lower()) == "json" else None
    return FILE_KINDS.get(suffix)


def _local(path: Path) -> dict[str, Any]:
    kind = file_kind(path)
    if path.is_file() and kind:
        return {"path": kind, "data_files": glob.escape(str(path.absolute()))}
    return {"path": str(path)}


def _parts(name: str) -> tuple[str, str | None, str | None]:
    """Path, config and revision of `PATH@REVISION:CONFIG`."""
    path, _, config = name.partition(":")
    path, _, revision = path.partition("@")
    return path, config or None, revision or None


def _load(name: str, arguments: dict[str, Any]) -> Any:
    """The splits of a data set, by name."""
    datasets = _import_datasets(name)
    try:
        return datasets.load_dataset(**arguments, streaming=True)
    except Exception as error:  # its exceptions share no base
        way_out = ""
        if "scripts are no longer supported" in str(error):
            way_out = (
                f"; hub:{_parts(name)[0]}@{PARQUET_COPY} is the hub's own copy, if it made one"
            )
        raise UserError(
            f"the data set {name!r} cannot be opened ({_line(error)}){way_out}."
        ) from None


def _import_datasets(name: str) -> Any:
    try:
        import datasets
    except ImportError:
        raise UserError(
            f"reading {name} needs the `datasets` package: pip install datasets."
        ) from None
    return datasets


def _ask_hub(name: str, revision: str | None) -> str | None:
    """One question with a time limit, because `datasets` itself tries for half a minute.

    Returns the commit that the answer is about.
    """
    _import_datasets(f"hub:{name}")
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    way_out = "use a text file of your own"
    if is_offline():
        raise UserError(
            f"the data set {name!r} cannot be had while the network is switched off; {way_out}."
        )
    asked: dict[str, Any] = {"revision": revision} if revision else {}
    try:
        answer = huggingface_hub.HfApi().dataset_info(name, timeout=ANSWER_SECONDS, **asked)
    except HFValidationError as error:
        raise UserError(f"{name!r} is not a name the hub could have ({_line(error)}).") from None
    except HfHubHTTPError as error:
        raise UserError(
            f"the hub does not give the data set {name!r} ({_line(error)}); "
            f"check the name, or {way_out}."
        ) from None
    except Exception as error:  # the client's network errors differ between its versions
        raise UserError(
            f"the hub cannot be reached for the data set {name!r} ({_line(error)}); {way_out}."
        ) from None
    return answer.sha or revision


def _choose_split(name: str, splits: list[str], split: str | None) -> str:
    if split is None:
        return "train" if "train" in splits else splits[0]
    if split not in splits:
        raise UserError(
            f"the data set {name!r} has no split {split!r}; its splits are: {', '.join(splits)}."
        )
    return split


def _text_column(name: str, row: dict[str, Any], column: str | None) -> str:
    strings = [key for key, value in row.items() if isinstance(value, str)]
    if column is None and "text" in strings:
        return "text"
    if column is None and len(strings) == 1:
        return strings[0]
    if column in strings:
        return str(column)
    asked = f"no column of text named {column!r}" if column else "several columns of text or none"
    columns = ", ".join(strings) or "none"
    raise UserError(f"the data set {name!r} has {asked}; its columns of text are: {columns}.")


@contextmanager
def _told(name: str) -> Iterator[None]:
    """What reading throws becomes a sentence, and is not said in the log too."""
    handlers = logging.getLogger("datasets").handlers
    for handler in handlers:
        handler.addFilter(_no_error)
    try:
        yield
    except Exception as error:  # whatever the network, the parsers or the hub's client throw
        raise UserError(f"the data set {name!r} cannot be read further ({_line(error)}).") from None
    finally:
        for handler in handlers:
            handler.removeFilter(_no_error)


def _no_error(record: logging.LogRecord) -> bool:
    return record.levelno < logging.ERROR


def _line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__
