"""Tokenize text into the words and punctuation marks of a stored vocabulary."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from gpt2_small.errors import UserError, did_you_mean
from gpt2_small.tokenizers.protocol import BaseTokenizer, check_ids

_TOKEN = re.compile(r"\w+|[^\w\s]")
_NO_SPACE_BEFORE = re.compile(r" (?=[,.!?;:”])")
_NO_SPACE_AFTER = re.compile(r"(?<=“) ")


def split_words(text: str) -> list[str]:
    """Split a text into words and punctuation marks; straight quotation marks become curly."""
    curly = re.sub(r'(^|(?<=\s))"', "“", text).replace('"', "”")
    return _TOKEN.findall(curly)


def join_words(words: Sequence[str]) -> str:
    """Join words and punctuation marks to a text with the usual spacing."""
    return _NO_SPACE_AFTER.sub("", _NO_SPACE_BEFORE.sub("", " ".join(words)))


class WordTokenizer(BaseTokenizer):
    """One id for each word or punctuation mark, and a begin token before each line.

    The begin token decodes to the line break between lines. `encode` begins with it, so that a
    prompt begins like a training window, and an empty prompt continues with any line. For ids that
    begin with it, `encode(decode(ids)) == ids`.

    Args:
        vocabulary: the begin token's name, then the words and marks, in the order of their ids.
        name: the tokenizer's name.

    Raises:
        UserError: a repeated word, or one that `split_words` never gives.
    """

    end_of_text = 0

    def __init__(self, vocabulary: Sequence[str], *, name: str = "words") -> None:
        self.name = name
        self.vocabulary = tuple(vocabulary)
        self.vocab_size = len(self.vocabulary)
        self._begin = self.vocabulary[0] if self.vocabulary else ""
        self._ids = {word: id for id, word in enumerate(self.vocabulary)}
        if len(self._ids) != self.vocab_size or not self.vocabulary:
            raise UserError(f"the vocabulary of tokenizer {name!r} is empty or repeats a word")
        for word in self.vocabulary[1:]:
            if split_words(word) != [word]:
                raise UserError(f"{word!r} in the vocabulary of tokenizer {name!r} is not one word")

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "WordTokenizer":
        """Restore a tokenizer from `to_dict`.

        Raises:
            UserError: the vocabulary does not have the stored SHA-256.
        """
        tokenizer = WordTokenizer([str(word) for word in data["vocabulary"]], name=data["name"])
        if data.get("sha256") != tokenizer.to_dict()["sha256"]:
            raise UserError(
                f"the vocabulary of tokenizer {tokenizer.name!r} is damaged (its SHA-256 is not "
                f"{str(data.get('sha256'))[:12]}...); copy it again"
            )
        return tokenizer

    @property
    def special_tokens(self) -> Mapping[str, int]:
        """None: the begin token is typed as a line break."""
        return {}

    @property
    def around(self) -> tuple[Sequence[int], Sequence[int]]:
        """The begin token before a text, and nothing after it."""
        return (0,), ()

    def encode(self, text: str) -> list[int]:
        """The ids of `text`, with a begin token before each line.

        Raises:
            UserError: a word outside the vocabulary, with the nearest one in it.
        """
        return [0, *self.encode_ordinary(text)]

    def encode_ordinary(self, text: str) -> list[int]:
        """The ids of a piece of text, with a begin token for each line break.

        Raises:
            UserError: a word outside the vocabulary, with the nearest one in it.
        """
        first, *others = text.split("\n")
        ids = list(map(self._id, split_words(first)))
        for line in others:
            ids += [0, *map(self._id, split_words(line))]
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`, without a line break before the first line.

        Raises:
            UserError: an id is outside the vocabulary.
        """
        words = ["\n" if word == self._begin else word for word in self.words(ids)]
        lines = " ".join(words).split("\n")
        return "\n".join(join_words(line.split()) for line in lines).removeprefix("\n")

    def decode_bytes(self, ids: Sequence[int]) -> bytes:
        """The text of `ids` in UTF-8."""
        return self.decode(ids).encode()

    def words(self, ids: Sequence[int]) -> list[str]:
        """The words of `ids`, including the begin token's name.

        Raises:
            UserError: an id is outside the vocabulary.
        """
        check_ids(ids, self)
        return [self.vocabulary[id] for id in ids]

    def to_dict(self) -> dict[str, Any]:
        """The vocabulary with its SHA-256."""
        digest = hashlib.sha256("\n".join(self.vocabulary).encode()).hexdigest()
        return {"name": self.name, "sha256": digest, "vocabulary": list(self.vocabulary)}

    def _id(self, word: str) -> int:
        if word == self._begin or word not in self._ids:
            guess = did_you_mean(word, self.vocabulary[1:], otherwise="use words of the vocabulary")
            raise UserError(f"the vocabulary {self.name!r} lacks the word {word!r}; {guess}")
        return self._ids[word]
