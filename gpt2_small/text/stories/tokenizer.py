"""Words of the tales to numbers and back."""

import difflib
import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import UserError
from .tales import BEGIN, GRAMMAR

VOCABULARY: tuple[str, ...] = (BEGIN, *sorted(GRAMMAR.words()))
VOCABULARY_HASH = hashlib.sha256("\n".join(VOCABULARY).encode()).hexdigest()
BEGIN_ID = 0

_TOKEN = re.compile(r"\w+|[^\w\s]")
_NO_SPACE_BEFORE = re.compile(r" (?=[,.!?;:”])")
_NO_SPACE_AFTER = re.compile(r"(?<=“) ")


def split_words(text: str) -> list[str]:
    """The words and punctuation marks of a text; straight quotation marks become curly ones."""
    curly = re.sub(r'(^|(?<=\s))"', "“", text).replace('"', "”")
    return _TOKEN.findall(curly)


def join_words(words: Sequence[str]) -> str:
    """Words and punctuation marks as a text with its usual spacing."""
    return _NO_SPACE_AFTER.sub("", _NO_SPACE_BEFORE.sub("", " ".join(words)))


class StoriesTokenizer:
    """A word tokenizer whose texts hold one story a line.

    Each line is led by the begin token, number `begin_id`, which has no text of its own: what `encode` gives
    always starts with it, so a prompt starts as a training window does, and the empty text is the prompt
    for any story. For numbers that start with it, `encode(decode(ids)) == ids` when the lines are tales.
    """

    name = "stories"
    vocab_size = len(VOCABULARY)
    begin_id = BEGIN_ID

    def __init__(self) -> None:
        self._ids = {word: number for number, word in enumerate(VOCABULARY)}

    def encode(self, text: str) -> list[int]:
        """Token numbers of a text. Raises UserError for a word that the tales do not use."""
        ids = []
        for line in text.split("\n"):
            ids.append(BEGIN_ID)
            ids.extend(self._id(word) for word in split_words(line))
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token numbers. Raises UserError for a number outside the vocabulary."""
        lines = " ".join(self.words(ids)).split(BEGIN)
        text = "\n".join(join_words(line.split()) for line in lines)
        return text.removeprefix("\n")

    def words(self, ids: Sequence[int]) -> list[str]:
        """The words that token numbers stand for, the begin token among them."""
        for number in ids:
            if not 0 <= number < self.vocab_size:
                raise UserError(
                    f"Token {number} is not in the stories vocabulary: it must be from 0 to"
                    f" {self.vocab_size - 1}."
                )
        return [VOCABULARY[number] for number in ids]

    def to_dict(self) -> dict[str, Any]:
        """What a run keeps, to find out later whether the vocabulary is still the same."""
        return {"name": self.name, "sha256": VOCABULARY_HASH, "vocabulary": list(VOCABULARY)}

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> "StoriesTokenizer":
        """The tokenizer of a run. Raises UserError when it was made for other tales."""
        if saved.get("name") != cls.name:
            raise UserError(f"{saved.get('name')!r} is not the stories tokenizer: its name is {cls.name!r}.")
        if saved.get("sha256") != VOCABULARY_HASH or saved.get("vocabulary") != list(VOCABULARY):
            raise UserError(
                f"This stories vocabulary (sha256 {str(saved.get('sha256'))[:12]}...) is not the one of these"
                f" tales ({VOCABULARY_HASH[:12]}...): use the version that made it, or train again."
            )
        return cls()

    def _id(self, word: str) -> int:
        if word not in self._ids:
            close = difflib.get_close_matches(word, VOCABULARY, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else " See the words in VOCABULARY."
            raise UserError(f"The stories do not know the word {word!r}.{hint}")
        return self._ids[word]
