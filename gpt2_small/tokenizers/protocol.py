"""What a tokenizer is, and how its output is read piece by piece."""

import codecs
import re
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from gpt2_small.errors import UserError

END_OF_TEXT = "<|endoftext|>"
DOCUMENT_GAP = "\n\n"  # between documents, where a tokenizer has no end of text


class Tokenizer(Protocol):
    """Text to token ids and back.

    The bytes that an id adds to those before it depend on the id just before at most, and change
    nothing that came earlier. `StreamDecoder` relies on it.
    """

    @property
    def name(self) -> str:
        """What a user writes to ask for it: `gpt2`, `byte`, `char`, `bpe:SIZE`, `stories`."""

    @property
    def vocab_size(self) -> int:
        """Ids run from 0 to `vocab_size - 1`."""

    @property
    def end_of_text(self) -> int | None:
        """The id that separates documents, where there is one. Typing its name does not give it."""

    def encode(self, text: str) -> list[int]:
        """The ids of `text`.

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
        """What was held back; U+FFFD for a character that never became whole."""
        return self._utf8.decode(b"", final=True)


def check_ids(ids: Sequence[int], tokenizer: Tokenizer) -> None:
    """Refuses ids outside the vocabulary, such as those of a padded embedding."""
    if len(ids) == 0 or (min(ids) >= 0 and max(ids) < tokenizer.vocab_size):
        return
    wrong = next(id for id in ids if not 0 <= id < tokenizer.vocab_size)
    raise UserError(
        f"token id {int(wrong)} is outside the vocabulary of tokenizer {tokenizer.name!r} "
        f"(0 to {tokenizer.vocab_size - 1}); mask the padded part of the logits before sampling."
    )


def encode_array(tokenizer: Tokenizer, text: str) -> np.ndarray:
    """The ids of a long text as one array `[tokens]`, uint16 where the vocabulary allows it.

    Uses the tokenizer's own `encode_array` where it has one.
    """
    own: Callable[[str], np.ndarray] | None = getattr(tokenizer, "encode_array", None)
    if own is not None:
        return own(text)
    return np.array(tokenizer.encode(text), dtype=id_dtype(tokenizer.vocab_size))


def id_dtype(vocab_size: int) -> type[np.uint16] | type[np.uint32]:
    """The narrowest type that holds every id: uint16 up to 65,536 of them, else uint32."""
    return np.uint16 if vocab_size <= 2**16 else np.uint32


_SURROGATE_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_NO_BYTE = re.compile("[\ud800-\udc7f\udd00-\udfff]")
_ESCAPED_BYTES = re.compile("([\udc80-\udcff]+)")


def has_surrogates(text: str) -> bool:
    """Whether `text` holds something that UTF-8 cannot say."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def escape_surrogates(text: str) -> str:
    """`text` with no surrogate left but those that stand for one byte (PEP 383).

    A pair becomes its character; a lone surrogate that stands for no byte becomes U+FFFD.
    """
    if not has_surrogates(text):
        return text
    whole = _SURROGATE_PAIR.sub(
        lambda pair: pair[0].encode("utf-16", "surrogatepass").decode("utf-16"), text
    )
    return _NO_BYTE.sub("\ufffd", whole)


def text_to_bytes(text: str) -> bytes:
    """UTF-8, with surrogates treated as in `escape_surrogates`."""
    return escape_surrogates(text).encode("utf-8", "surrogateescape")


def bytes_to_text(data: bytes) -> str:
    """A string that every byte-level tokenizer encodes to exactly `data`."""
    return data.decode("utf-8", "surrogateescape")


def encode_around_escapes(
    text: str, encode: Callable[[str], list[int]], byte_ids: Sequence[int]
) -> list[int]:
    """Encodes clean stretches of `text` with `encode`, and escaped bytes by `byte_ids[byte]`."""
    if not has_surrogates(text):
        return encode(text)
    ids: list[int] = []
    for stretch in _ESCAPED_BYTES.split(escape_surrogates(text)):
        if _ESCAPED_BYTES.match(stretch):
            ids.extend(byte_ids[byte] for byte in text_to_bytes(stretch))
        else:
            ids.extend(encode(stretch))
    return ids
