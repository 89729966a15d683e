"""Tokenize text into bytes or characters."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from gpt2_small.errors import UserError
from gpt2_small.tokenizers.protocol import (
    END_OF_TEXT,
    AnyBytesTokenizer,
    BaseTokenizer,
    check_ids,
    id_dtype,
)
from gpt2_small.tokenizers.surrogates import text_to_bytes


class ByteTokenizer(AnyBytesTokenizer):
    """One id for each byte, and `<|endoftext|>` after them.

    Args:
        end_of_text: whether there is a 257th id that separates documents.
    """

    name = "byte"

    def __init__(self, *, end_of_text: bool = True) -> None:
        self.end_of_text = 256 if end_of_text else None
        self.vocab_size = 257 if end_of_text else 256

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "ByteTokenizer":
        """Restore a tokenizer from `to_dict`."""
        return cls(end_of_text=bool(data["end_of_text"]))

    def encode(self, text: str) -> list[int]:
        """Ids of `text`. A surrogate that stands for one byte (PEP 383) becomes that byte."""
        return list(text_to_bytes(text))

    def encode_array(self, text: str) -> np.ndarray:
        """Ids of a long text, `[tokens]` uint16."""
        return np.frombuffer(text_to_bytes(text), dtype=np.uint8).astype(np.uint16)

    def decode_bytes(self, ids: Sequence[int]) -> bytes:
        """Bytes of `ids`."""
        check_ids(ids, self)
        return b"".join([END_OF_TEXT.encode() if id == 256 else bytes([id]) for id in ids])

    def to_dict(self) -> dict[str, Any]:
        """The name, and whether there is an end of text."""
        return {"name": self.name, "end_of_text": self.end_of_text is not None}


class CharTokenizer(BaseTokenizer):
    """One id for each character (Unicode code point) of an alphabet, in code point order.

    Args:
        characters: the alphabet; repetitions and order do not matter.

    Raises:
        UserError: an empty alphabet, or one with a surrogate.
    """

    name = "char"
    end_of_text = None

    def __init__(self, characters: str) -> None:
        self.characters = "".join(sorted(set(characters)))
        if not self.characters:
            raise UserError("a character vocabulary needs at least one character")
        if any(0xD800 <= ord(character) < 0xE000 for character in self.characters):
            raise UserError("a character vocabulary cannot hold a surrogate; decode the text first")
        self.vocab_size = len(self.characters)
        self._ids = {character: id for id, character in enumerate(self.characters)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "CharTokenizer":
        """Restore a tokenizer from `to_dict`."""
        return cls(data["characters"])

    def encode(self, text: str) -> list[int]:
        """Ids of `text`.

        Raises:
            UserError: a character that is not in the alphabet.
        """
        try:
            return [self._ids[character] for character in text]
        except KeyError as error:
            raise self._unknown(error.args[0], text.index(error.args[0])) from None

    def encode_array(self, text: str) -> np.ndarray:
        """Ids of a long text, `[tokens]`."""
        points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
        alphabet = np.array([ord(character) for character in self.characters], dtype=np.uint32)
        ids = np.searchsorted(alphabet, points).clip(max=self.vocab_size - 1)
        wrong = np.flatnonzero(alphabet[ids] != points)
        if len(wrong):
            raise self._unknown(text[wrong[0]], int(wrong[0]))
        return ids.astype(id_dtype(self.vocab_size))

    def decode(self, ids: Sequence[int]) -> str:
        """Text of `ids`."""
        check_ids(ids, self)
        return "".join([self.characters[id] for id in ids])

    def decode_bytes(self, ids: Sequence[int]) -> bytes:
        """UTF-8 of `decode`."""
        return self.decode(ids).encode()

    def to_dict(self) -> dict[str, Any]:
        """The name and the alphabet."""
        return {"name": self.name, "characters": self.characters}

    def _unknown(self, character: str, position: int) -> UserError:
        shown = self.characters if self.vocab_size <= 100 else self.characters[:100] + "..."
        return UserError(
            f"character {character!r} (U+{ord(character):04X}, at position {position}) is not one "
            f"of the {self.vocab_size} in this tokenizer's alphabet: {shown!r}"
        )
