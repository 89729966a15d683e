"""Documents of a data set, streamed with the `datasets` library."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gpt2_small.errors import UserError
from gpt2_small.text.gpt2_table import is_offline

ANSWER_SECONDS = 5.0


def read_documents(name: str, *, max_characters: int, column: str | None = None) -> Iterator[str]:
    """Documents of the `train` split, in order, until they hold `max_characters` together.

    Nothing is downloaded beyond what is read.

    Args:
        name: `OWNER/NAME`, `OWNER/NAME:CONFIG`, or a local folder of JSON lines, text or Parquet.
        max_characters: the last document is the one that reaches it.
        column: which column is the text; `text`, or the only column of strings, when None.

    Raises:
        UserError: `datasets` is not installed, the data set is not there or cannot be reached, or
            no column is the text.
    """
    rows = _stream(name)
    try:
        first = next(rows, None)
        if first is None:
            raise UserError(f"the data set {name!r} is empty.")
        text_column = _text_column(name, first, column)
        left = max_characters
        for row in itertools.chain([first], rows):
            if left <= 0:
                return
            document = row[text_column] or ""
            left -= len(document)
            if document:
                yield document
    except UserError:
        raise
    except Exception as error:  # whatever the network, the parsers or the hub's client throw
        raise UserError(f"the data set {name!r} cannot be read further ({_line(error)}).") from None


def _stream(name: str) -> Iterator[dict[str, Any]]:
    try:
        import datasets
    except ImportError:
        raise UserError(
            f"reading hub:{name} needs the `datasets` package: pip install datasets."
        ) from None
    is_local = Path(name).exists()
    path, _, config = (name, "", "") if is_local else name.partition(":")
    if not is_local:
        _ask_hub(path)
    try:
        splits = datasets.load_dataset(path, config or None, streaming=True)
    except Exception as error:  # its exceptions share no base
        raise UserError(f"the data set {name!r} cannot be opened ({_line(error)}).") from None
    return iter(splits["train"] if "train" in splits else next(iter(splits.values())))


def _ask_hub(name: str) -> None:
    """One question with a time limit, because `datasets` itself tries for half a minute."""
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    way_out = "use --data FILE with a text of your own"
    if is_offline():
        raise UserError(
            f"the data set {name!r} cannot be had while the network is switched off; {way_out}."
        )
    try:
        huggingface_hub.HfApi().dataset_info(name, timeout=ANSWER_SECONDS)
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


def _line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__
