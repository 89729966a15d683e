"""Define the interface of a tokenizer, and decode ids one at a time."""

import codecs
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from gpt2_small.errors import UserError

END_OF_TEXT = "<|endoftext|>"
DOCUMENT_GAP = "\n\n"  # between documents, where a tokenizer has no end of text


class Roles(NamedTuple):
    """The role tokens that begin the turns of a conversation."""

    user: int
    assistant: int


class Tokenizer(Protocol):
    """Encodes text as token ids, and decodes them.

    The bytes of an id depend on the previous id at most, and never change the bytes of earlier ids.
    `StreamDecoder` relies on this.
    """

    @property
    def name(self) -> str:
        """Its name in commands: `gpt2`, `gpt2-chat`, `byte`, `char`, `bpe:SIZE`."""

    @property
    def vocab_size(self) -> int:
        """The number of ids, which run from 0 to `vocab_size - 1`."""

    @property
    def d_vocab(self) -> int:
        """Rows of a new model's embedding: `vocab_size`, or more with padding."""

    @property
    def end_of_text(self) -> int | None:
        """The id that separates documents, or None. No text encodes to it."""

    @property
    def start_of_text(self) -> int | None:
        """The id that replaces an empty prompt, or None."""

    @property
    def ends(self) -> frozenset[int]:
        """The ids that end a continuation, including `end_of_text`."""

    @property
    def special_tokens(self) -> Mapping[str, int]:
        """Names and ids of the special tokens, to which no text encodes."""

    @property
    def around(self) -> tuple[Sequence[int], Sequence[int]]:
        """The ids that `encode` adds before and after each text."""

    @property
    def roles(self) -> Roles | None:
        """The role tokens, or None."""

    def encode(self, text: str) -> list[int]:
        """The ids of a whole text, including the ids `around` it.

        A special token's name in `text` is encoded as plain characters.

        Raises:
            UserError: `text` has something outside the vocabulary.
        """

    def encode_ordinary(self, text: str) -> list[int]:
        """The ids of a piece of text, without the ids `around` a text.

        Raises:
            UserError: `text` has something outside the vocabulary.
        """

    def encode_special(self, text: str) -> list[int]:
        """The ids of a whole text in which the names of special tokens become these tokens.

        Only for trusted text, never for user input.

        Raises:
            UserError: `text` has something outside the vocabulary.
        """

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`, with U+FFFD for invalid UTF-8.

        Raises:
            UserError: an id is outside the vocabulary.
        """

    def decode_bytes(self, ids: Sequence[int]) -> bytes:
        """The exact bytes of `ids`.

        Raises:
            UserError: an id is outside the vocabulary.
        """

    def to_dict(self) -> dict[str, Any]:
        """The tokenizer as JSON values, including its `name`, to restore it from."""


class BaseTokenizer:
    """A tokenizer with at most one end token, no roles, and no ids around a text."""

    name: str
    vocab_size: int
    end_of_text: int | None

    @property
    def d_vocab(self) -> int:
        """Rows of a new model's embedding."""
        return self.vocab_size

    @property
    def start_of_text(self) -> int | None:
        """The end of text, which also precedes a text."""
        return self.end_of_text

    @property
    def ends(self) -> frozenset[int]:
        """The end of text, if there is one."""
        return frozenset() if self.end_of_text is None else frozenset({self.end_of_text})

    @property
    def special_tokens(self) -> Mapping[str, int]:
        """`<|endoftext|>`, if there is an end of text."""
        return {} if self.end_of_text is None else {END_OF_TEXT: self.end_of_text}

    @property
    def around(self) -> tuple[Sequence[int], Sequence[int]]:
        """No ids."""
        return (), ()

    @property
    def roles(self) -> Roles | None:
        """None."""
        return None

    def encode(self, text: str) -> list[int]:
        """The ids of a whole text."""
        raise NotImplementedError

    def encode_ordinary(self, text: str) -> list[int]:
        """The ids of a piece of text."""
        return self.encode(text)

    def encode_special(self, text: str) -> list[int]:
        """The ids of a whole text in which the names of special tokens become these tokens."""
        pieces = split_at_names(text, self.special_tokens)
        if len(pieces) == 1:
            return self.encode(text)
        ids: list[int] = []
        for number, piece in enumerate(pieces):
            ids += [self.special_tokens[piece]] if number % 2 else self.encode_ordinary(piece)
        return ids


class AnyBytesTokenizer(BaseTokenizer):
    """A tokenizer that encodes any bytes, including invalid UTF-8."""

    def decode(self, ids: Sequence[int]) -> str:
        """Text of `ids`, with U+FFFD for invalid UTF-8."""
        return self.decode_bytes(ids).decode(errors="replace")

    def decode_bytes(self, ids: Sequence[int]) -> bytes:
        """Bytes of `ids`."""
        raise NotImplementedError


def split_at_names(text: str, names: Iterable[str]) -> list[str]:
    """Split `text` at names: text, name, text, ..., text. The longest name at a position wins."""
    longest_first = sorted(names, key=len, reverse=True)
    if not longest_first:
        return [text]
    return re.split(f"({'|'.join(map(re.escape, longest_first))})", text)


class StreamDecoder:
    """Decodes ids one at a time, and holds incomplete characters back.

    The results of `push` and `finish` concatenate to `tokenizer.decode` of all ids.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._before: list[int] = []
        self._utf8 = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, id: int) -> str:
        """Add an id, and return the characters that it completes, if any."""
        known = len(self._tokenizer.decode_bytes(self._before))
        added = self._tokenizer.decode_bytes([*self._before, id])[known:]
        self._before = [id]
        return self._utf8.decode(added)

    def finish(self) -> str:
        """Return the text held back, with U+FFFD for an incomplete character."""
        return self._utf8.decode(b"", final=True)


def check_ids(ids: Sequence[int], tokenizer: Tokenizer) -> None:
    """Raises UserError for ids outside the vocabulary, such as those of a padded embedding."""
    if len(ids) == 0 or (min(ids) >= 0 and max(ids) < tokenizer.vocab_size):
        return
    wrong = next(id for id in ids if not 0 <= id < tokenizer.vocab_size)
    raise UserError(
        f"token id {int(wrong)} is outside the vocabulary of tokenizer {tokenizer.name!r} "
        f"(0 to {tokenizer.vocab_size - 1}); mask the padded part of the logits before sampling"
    )


def encode_array(
    tokenizer: Tokenizer, text: str, *, begins: bool = True, ends: bool = True
) -> np.ndarray:
    """Encode a long text as an array `[tokens]` of `id_dtype`.

    Calls the tokenizer's own `encode_array`, if it has one.

    Args:
        begins, ends: whether `text` includes the beginning and the end of a whole text.
    """
    own: Callable[[str], np.ndarray] | None = getattr(tokenizer, "encode_array", None)
    if own is not None:
        return own(text)
    if begins and ends:
        ids = tokenizer.encode(text)
    else:
        before, after = tokenizer.around
        ids = [*(before if begins else ()), *tokenizer.encode_ordinary(text)]
        ids += after if ends else ()
    return np.array(ids, dtype=id_dtype(tokenizer.vocab_size))


def id_dtype(vocab_size: int) -> type[np.uint16] | type[np.uint32]:
    """The smallest type for all ids: uint16 for up to 65,536 of them, else uint32."""
    return np.uint16 if vocab_size <= 2**16 else np.uint32
