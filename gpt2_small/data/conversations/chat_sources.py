"""Open a source of conversations: a file, a data set of the Hub, or the built-in dialogues."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from gpt2_small.data.conversations import oasst
from gpt2_small.data.conversations.conversation import Audit, RawConversation, RawTurn
from gpt2_small.data.conversations.record_shapes import (
    FROM,
    OASST,
    SHAPES,
    BadRow,
    Record,
    shape_of,
)
from gpt2_small.data.conversations.records import read_rows
from gpt2_small.data.corpora.hub_corpus import rows_of
from gpt2_small.errors import UserError, did_you_mean
from gpt2_small.files.hashes import sha256

DIALOGUES = "dialogues"
OASST1 = "oasst1"
OASST1_ON_THE_HUB = "OpenAssistant/oasst1"
HUB = "hub:"
TREES = "oasst's trees of messages"


@dataclass(frozen=True)
class ChatSource:
    """Raw conversations of a source.

    origin: identifies the source, as JSON values.
    shape: the format of the rows; None for generated conversations.
    """

    name: str
    origin: dict[str, Any]
    shape: str | None
    conversations: Iterable[RawConversation]


def open_chat_source(
    name: str,
    *,
    shape: str | None,
    lang: str | None,
    paths: str | None,
    limit: int | None,
    audit: Audit,
) -> ChatSource:
    """Open the source of a name: `dialogues`, `oasst1`, `hub:NAME` or a file.

    Args:
        shape: of the rows, one of FROM; None detects it by their fields.
        lang: of oasst's trees; None for English, `all` for every language.
        paths: through oasst's trees, `best` or `all`; None for `best`.
        limit: the number of rows, or dialogues, to read; None for all.
        audit: counts what is left out.

    Raises UserError for a source that cannot be found or read, and for options of oasst's trees
    with another one.
    """
    of_trees = {"--lang": lang, "--paths": paths}
    if name == DIALOGUES:
        _refuse(of_trees, TREES, name)
        _refuse({"--from": shape}, "files and data sets of the Hub", name)
        return _dialogues(limit)
    rows, origin = _rows(name, limit)
    first = next(rows, None)
    if first is None:
        raise UserError(f"{name} holds no rows")
    shape = shape or shape_of(first, name)
    rows = chain([first], rows)
    if shape == OASST:
        lang = None if lang == "all" else lang or "en"
        found = oasst.conversations(rows, lang=lang, paths=paths or oasst.BEST, audit=audit)
    else:
        _refuse(of_trees, TREES, name)
        found = _plain(rows, shape, name)
    return ChatSource(name, origin, shape, found)


def _refuse(options: dict[str, str | None], purpose: str, name: str) -> None:
    for flag, value in options.items():
        if value is not None:
            raise UserError(f"{flag} is for {purpose}, not for {name}; leave it out")


def _rows(name: str, limit: int | None) -> tuple[Iterator[Record], dict[str, Any]]:
    if name == OASST1 or name.startswith(HUB):
        found, origin = rows_of(OASST1_ON_THE_HUB if name == OASST1 else name.removeprefix(HUB))
        return _limited(found, limit), origin
    path = Path(name)
    if not path.exists():
        raise UserError(_missing(path))
    return _limited(read_rows(path), limit), {"file": path.name, "sha256": _hash(path)}


def _limited(rows: Iterable[Record], limit: int | None) -> Iterator[Record]:
    for number, row in enumerate(rows):
        if number == limit:
            return
        yield row


def _plain(rows: Iterable[Record], shape: str, name: str) -> Iterator[RawConversation]:
    for number, row in enumerate(rows, start=1):
        try:
            yield SHAPES[shape](row)
        except BadRow as error:
            raise UserError(
                f"row {number} of {name} is not of the format {shape}: {error}; fix or remove it, "
                f"or give another --from ({', '.join(FROM)})"
            ) from None


def _dialogues(limit: int | None) -> ChatSource:
    """The built-in dialogues, whose key is their whole text."""
    from gpt2_small.stories.dialogues import dialogue_corpus
    from gpt2_small.stories.stories_tokenizer import join_words

    drawn = dialogue_corpus.training_dialogues(0, limit or dialogue_corpus.TRAINING_DIALOGUES)
    found = []
    for words in drawn:
        turns = [RawTurn(role, join_words(text)) for role, text in dialogue_corpus.turns_of(words)]
        found.append(RawConversation(tuple(turns), key=" ".join(words)))
    digest = hashlib.sha256("\n".join(str(each.key) for each in found).encode()).hexdigest()
    return ChatSource(DIALOGUES, {"dialogues_seed": 0, "sha256": digest}, None, found)


def _hash(path: Path) -> str | None:
    try:
        return sha256(path) if path.is_file() else None
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror}); give a readable file") from None


def _missing(path: Path) -> str:
    names = [DIALOGUES, OASST1]
    if path.parent.is_dir():
        names += [str(path.with_name(each.name)) for each in path.parent.iterdir()]
    guess = did_you_mean(str(path), names, otherwise="give a file, dialogues, oasst1 or hub:NAME")
    return f"{path} does not exist; {guess}"
