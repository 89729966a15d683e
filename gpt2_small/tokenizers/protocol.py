"""Define the interface of a tokenizer, and decode its ids one at a time."""

import codecs
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from gpt2_small.errors import UserError
from gpt2_small.tokenizers.surrogates import bytes_to_text

END_OF_TEXT = "<|endoftext|>"
DOCUMENT_GAP = "\n\n"  # between documents, where a tokenizer has no end of text


class Roles(NamedTuple):
    """The ids that begin a turn of a conversation."""

    user: int
    assistant: int


class Tokenizer(Protocol):
    """Text to token ids and back.

    The bytes that an id adds to those before it depend on the id just before at most, and change
    nothing that came earlier. `StreamDecoder` relies on it.
    """

    @property
    def name(self) -> str:
        """Its name in commands: `gpt2`, `gpt2-chat`, `byte`, `char`, `bpe:SIZE`."""

    @property
    def vocab_size(self) -> int:
        """Ids run from 0 to `vocab_size - 1`."""

    @property
    def d_vocab(self) -> int:
        """Rows of a new model's embedding: `vocab_size`, or more where padding is part of it."""

    @property
    def end_of_text(self) -> int | None:
        """The id that separates documents, where there is one. Typing its name does not give it."""

    @property
    def start_of_text(self) -> int | None:
        """The id that an empty prompt begins with, where there is one."""

    @property
    def ends(self) -> frozenset[int]:
        """The ids that end a continuation, `end_of_text` among them."""

    @property
    def special_tokens(self) -> Mapping[str, int]:
        """Names of the tokens that no typed text becomes, with their ids."""

    @property
    def around(self) -> tuple[Sequence[int], Sequence[int]]:
        """The ids that `encode` puts before and after each text."""

    @property
    def roles(self) -> Roles | None:
        """The ids that begin the turns of a conversation, where the tokenizer has them."""

    def encode(self, text: str) -> list[int]:
        """The ids of a whole text, with what the tokenizer puts before and after each text.

        A special token's name in `text` is encoded as its characters.

        Raises:
            UserError: `text` holds something outside the vocabulary.
        """

    def encode_ordinary(self, text: str) -> list[int]:
        """The ids of a piece of text, as `encode` gives them, with nothing put before or after it.

        Raises:
            UserError: `text` holds something outside the vocabulary.
        """

    def encode_special(self, text: str) -> list[int]:
        """The ids of a whole text in which a special token's name stands for the token.

        Only for text whose author may write special tokens; never for what a user typed.

        Raises:
            UserError: `text` holds something outside the vocabulary.
        """

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`; bytes that are not UTF-8 are shown as U+FFFD.

        Raises:
            UserError: an id lies outside the vocabulary.
        """

    def decode_bytes(self, ids: Sequence[int]) -> bytes:
        """The bytes of `ids`, exactly.

        Raises:
            UserError: an id lies outside the vocabulary.
        """

    def to_dict(self) -> dict[str, Any]:
        """Everything needed to restore it, as JSON values, its `name` among them."""


class BaseTokenizer:
    """The common case of a tokenizer: one end, no roles, nothing around a text."""

    name: str
    vocab_size: int
    end_of_text: int | None

    @property
    def d_vocab(self) -> int:
        """Rows of a new model's embedding."""
        return self.vocab_size

    @property
    def start_of_text(self) -> int | None:
        """The end of text, after which a text begins."""
        return self.end_of_text

    @property
    def ends(self) -> frozenset[int]:
        """The end of text alone, where there is one."""
        return frozenset() if self.end_of_text is None else frozenset({self.end_of_text})

    @property
    def special_tokens(self) -> Mapping[str, int]:
        """`<|endoftext|>`, where there is an end of text."""
        return {} if self.end_of_text is None else {END_OF_TEXT: self.end_of_text}

    @property
    def around(self) -> tuple[Sequence[int], Sequence[int]]:
        """Nothing."""
        return (), ()

    @property
    def roles(self) -> Roles | None:
        """None: made for texts, not for conversations."""
        return None

    def encode(self, text: str) -> list[int]:
        """The ids of a whole text."""
        raise NotImplementedError

    def encode_ordinary(self, text: str) -> list[int]:
        """The ids of a piece of text."""
        return self.encode(text)

    def encode_special(self, text: str) -> list[int]:
        """The ids of a whole text in which a special token's name stands for the token."""
        pieces = split_at_names(text, self.special_tokens)
        if len(pieces) == 1:
            return self.encode(text)
        ids: list[int] = []
        for number, piece in enumerate(pieces):
            ids += [self.special_tokens[piece]] if number % 2 else self.encode_ordinary(piece)
        return ids


class AnyBytesTokenizer(BaseTokenizer):
    """A tokenizer that encodes any bytes, also those that are not UTF-8."""

    def encode_bytes(self, data: bytes) -> list[int]:
        """Ids of any bytes; `decode_bytes` gives them back."""
        return self.encode(bytes_to_text(data))

    def decode(self, ids: Sequence[int]) -> str:
        """Text of `ids`; bytes that are not UTF-8 are shown as U+FFFD."""
        return self.decode_bytes(ids).decode(errors="replace")

    def decode_bytes(self, ids: Sequence[int]) -> bytes:
        """Bytes of `ids`."""
        raise NotImplementedError


def split_at_names(text: str, names: Iterable[str]) -> list[str]:
    """`text` cut at each name in it: text, name, text, ..., text. Of several the longest counts."""
    longest_first = sorted(names, key=len, reverse=True)
    if not longest_first:
        return [text]
    return re.split(f"({'|'.join(map(re.escape, longest_first))})", text)


class StreamDecoder:
    """Decodes ids one at a time, holding back a character until all its bytes have come.

    What `push` and `finish` return adds up to `tokenizer.decode` of all the ids.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._before: list[int] = []
        self._utf8 = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, id: int) -> str:
        """The text that is certain now that `id` has come; often empty inside a character."""
        known = len(self._tokenizer.decode_bytes(self._before))
        added = self._tokenizer.decode_bytes([*self._before, id])[known:]
        self._before = [id]
        return self._utf8.decode(added)

    def finish(self) -> str:
        """The text held back; U+FFFD for a character that never became whole."""
        return self._utf8.decode(b"", final=True)


def check_ids(ids: Sequence[int], tokenizer: Tokenizer) -> None:
    """Refuses ids outside the vocabulary, such as those of a padded embedding."""
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
    """The ids of a long text as one array `[tokens]`, uint16 where the vocabulary allows it.

    Uses the tokenizer's own `encode_array` where it has one.

    Args:
        begins, ends: whether `text` is the beginning of a whole text, and its end.
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
    """The narrowest type that holds every id: uint16 up to 65,536 of them, else uint32."""
    return np.uint16 if vocab_size <= 2**16 else np.uint32
