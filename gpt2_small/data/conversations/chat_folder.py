"""Write and read a folder of conversations: token ids, masks, offsets, an index.

For each split `train` and `val`: `SPLIT.bin` with the ids (uint16) of all conversations;
`SPLIT.mask` with one byte for each token, 1 for a target; `SPLIT.starts` with the offset (int64, in
tokens) of each conversation. All are little-endian, without header.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from gpt2_small.data.conversations.rendering import RenderedConversation
from gpt2_small.data.corpora.corpus import SPLIT_NAMES, SPLITS
from gpt2_small.errors import UserError, did_you_mean_beside
from gpt2_small.files.hashes import check_sha256, sha256
from gpt2_small.files.json_files import read_json
from gpt2_small.tokenizers.protocol import Tokenizer
from gpt2_small.tokenizers.registry import FILE_NAME, load_tokenizer

FORMAT = "gpt2-small-chats/1"
INDEX = "chats.json"
WAY_OUT = "make the folder again"
KINDS: Mapping[str, np.dtype[Any]] = {
    "bin": np.dtype("<u2"),
    "mask": np.dtype("u1"),
    "starts": np.dtype("<i8"),
}


class ChatSplitWriter:
    """Appends conversations to the three files of a split."""

    def __init__(self, folder: Path, split: str, stack: ExitStack) -> None:
        self.split = split
        self.conversations = self.turns = self.tokens = self.targets = 0
        self._files: dict[str, BinaryIO] = {
            kind: stack.enter_context((folder / f"{split}.{kind}").open("wb")) for kind in KINDS
        }

    def append(self, rendered: RenderedConversation) -> None:
        """Add a conversation."""
        for kind, values in (
            ("starts", [self.tokens]),
            ("bin", rendered.ids),
            ("mask", rendered.is_target),
        ):
            self._files[kind].write(np.asarray(values).astype(KINDS[kind]).tobytes())
        self.conversations += 1
        self.turns += rendered.turns
        self.tokens += len(rendered.ids)
        self.targets += int(rendered.is_target.sum())

    def facts(self, folder: Path) -> dict[str, Any]:
        """The split's entry in the index, once its files are closed."""
        return {
            "conversations": self.conversations,
            "turns": self.turns,
            "tokens": self.tokens,
            "targets": self.targets,
            "files": {
                f"{self.split}.{kind}": sha256(folder / f"{self.split}.{kind}") for kind in KINDS
            },
        }


@contextmanager
def split_writers(folder: Path) -> Iterator[dict[str, ChatSplitWriter]]:
    """Open a writer for each split, and close their files at the end."""
    with ExitStack() as stack:
        yield {split: ChatSplitWriter(folder, split, stack) for split in SPLITS}


def write_index(
    folder: Path, tokenizer: Tokenizer, splits: Mapping[str, Any], **facts: Any
) -> dict[str, Any]:
    """Write the index, last, as the mark of a complete folder; returns its content."""
    assert tokenizer.roles is not None
    index = {
        "format": FORMAT,
        **facts,
        "tokenizer": {
            "name": tokenizer.name,
            "vocab_size": tokenizer.vocab_size,
            "user": tokenizer.roles.user,
            "assistant": tokenizer.roles.assistant,
            "end": tokenizer.end_of_text,
            "sha256": sha256(folder / FILE_NAME),
        },
        "dtype": "uint16",
        "splits": dict(splits),
    }
    (folder / INDEX).write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")
    return index


@dataclass(frozen=True)
class ChatSplit:
    """The conversations of a split: ids and is_target [tokens], starts [conversations + 1]."""

    ids: np.ndarray
    is_target: np.ndarray
    starts: np.ndarray

    def __len__(self) -> int:
        return len(self.starts) - 1

    def conversation(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Ids and targets of a conversation, counted from 0."""
        place = slice(self.starts[number], self.starts[number + 1])
        return self.ids[place], self.is_target[place]

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each conversation."""
        return np.diff(self.starts)


@dataclass(frozen=True)
class Chats:
    """A folder of conversations.

    sha256: of its index, which contains the hashes of the other files.
    """

    name: str
    tokenizer: Tokenizer
    train: ChatSplit
    val: ChatSplit
    index: Mapping[str, Any]
    sha256: str


def holds_chats(folder: str | Path) -> bool:
    """Whether a folder contains prepared conversations."""
    return (Path(folder) / INDEX).is_file()


def open_chats(folder: str | Path) -> Chats:
    """Open a folder of `prepare --chat`, and verify every hash in its index.

    Raises UserError, with the file, for one that is missing, damaged or of another version.
    """
    folder = Path(folder)
    if not holds_chats(folder):
        raise UserError(_missing(folder))
    index = read_json(folder / INDEX, FORMAT)
    try:
        check_sha256(folder / FILE_NAME, index["tokenizer"]["sha256"], INDEX, WAY_OUT)
        tokenizer = load_tokenizer(folder)
        if tokenizer.roles is None:
            raise UserError(f"{folder / FILE_NAME} has no roles; make the folder again")
        train, val = (_split(folder, split, index["splits"][split], tokenizer) for split in SPLITS)
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{folder / INDEX} is damaged ({error!r}); make the folder again") from None
    digest = hashlib.sha256((folder / INDEX).read_bytes()).hexdigest()
    return Chats(str(folder), tokenizer, train, val, index, digest)


def _split(folder: Path, split: str, facts: Mapping[str, Any], tokenizer: Tokenizer) -> ChatSplit:
    found = {}
    for kind, dtype in KINDS.items():
        path = folder / f"{split}.{kind}"
        check_sha256(path, facts["files"][path.name], INDEX, WAY_OUT)
        data = np.fromfile(path, dtype="u1")  # a memory-mapped file that shrinks would crash
        if len(data) % dtype.itemsize:
            raise UserError(f"{path} ends within a number; make the folder again")
        found[kind] = data.view(dtype)
    ids, mask, starts = (found[kind] for kind in KINDS)
    bounds = np.append(starts, len(ids))
    is_consistent = (
        len(starts) == facts["conversations"]
        and len(mask) == len(ids) == facts["tokens"]
        and (len(starts) == 0 or (starts[0] == 0 and (np.diff(bounds) >= 2).all()))
        and (len(ids) == 0 or (ids.max() < tokenizer.vocab_size and mask.max() <= 1))
        and int(mask.sum()) == facts["targets"]
    )
    if not is_consistent:
        raise UserError(
            f"the {SPLIT_NAMES[split]} files in {folder} do not match each other or {INDEX}; "
            "make the folder again"
        )
    result = ChatSplit(ids, mask.view(bool), bounds)
    _check_targets(folder, split, result)
    return result


def _check_targets(folder: Path, split: str, chats: ChatSplit) -> None:
    """Raises UserError for a conversation without targets: a training step might have none."""
    if not len(chats):
        raise UserError(f"{folder} has no {SPLIT_NAMES[split]} conversations; prepare more of them")
    trained = np.add.reduceat(chats.is_target[1:].astype(np.int64), chats.starts[:-1])
    without = np.flatnonzero(trained == 0)
    if len(without):
        raise UserError(
            f"conversation {without[0]} of the {SPLIT_NAMES[split]} part of {folder} has no "
            "target, so nothing could be learned from it; make the folder again"
        )


def _missing(folder: Path) -> str:
    parent = folder.parent
    names: Sequence[str] = [each.name for each in parent.iterdir()] if parent.is_dir() else []
    guess = did_you_mean_beside(folder, names)
    if not folder.exists() and guess:
        return f"there is no folder {folder}; {guess}"
    return f"{folder} holds no conversations; make them with `gpt2-small prepare NAME|FILE --chat`"
