"""Words of the tales to numbers and back."""

import difflib
import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from gpt2_small.errors import UserError
from gpt2_small.stories.tales import BEGIN, GRAMMAR
from gpt2_small.tokenizers.protocol import BaseTokenizer, check_ids

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


class StoriesTokenizer(BaseTokenizer):
    """A word tokenizer whose texts hold one story a line.

    Each line is led by the begin token, whose text is the line break that parts the line from the
    one before. What `encode` gives starts with it, so that a prompt starts as a training window
    does, and the empty text is the prompt for any story. For ids that start with it,
    `encode(decode(ids)) == ids`.
    """

    name = "stories"
    vocab_size = len(VOCABULARY)
    end_of_text = BEGIN_ID

    def __init__(self) -> None:
        self._ids = {word: id for id, word in enumerate(VOCABULARY)}

    def encode(self, text: str) -> list[int]:
        """The ids of `text`, a begin token before each of its lines.

        Raises:
            UserError: a word that the tales do not use, with the nearest that they do.
        """
        ids = []
        for line in text.split("\n"):
            ids.append(BEGIN_ID)
            ids.extend(map(self._id, split_words(line)))
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`, one story a line.

        Raises:
            UserError: an id lies outside the vocabulary.
        """
        words = ["\n" if word == BEGIN else word for word in self.words(ids)]
        lines = " ".join(words).split("\n")
        return "\n".join(join_words(line.split()) for line in lines).removeprefix("\n")

    def decode_bytes(self, ids: Sequence[int]) -> bytes:
        """The text of `ids` in UTF-8."""
        return self.decode(ids).encode()

    def words(self, ids: Sequence[int]) -> list[str]:
        """The words of `ids`, begin tokens among them: what `token_log_probs` reads.

        Raises:
            UserError: an id lies outside the vocabulary.
        """
        check_ids(ids, self)
        return [VOCABULARY[id] for id in ids]

    def to_dict(self) -> dict[str, Any]:
        """The vocabulary with its hash, by which a run can tell that it is still the same."""
        return {"name": self.name, "sha256": VOCABULARY_HASH, "vocabulary": list(VOCABULARY)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "StoriesTokenizer":
        """The tokenizer that `to_dict` described.

        Raises:
            UserError: the description is of another tokenizer, or of other tales.
        """
        if data.get("name") != cls.name:
            raise UserError(f"{data.get('name')!r} is not the tokenizer {cls.name!r}.")
        if data.get("sha256") != VOCABULARY_HASH or data.get("vocabulary") != list(VOCABULARY):
            raise UserError(
                f"this stories vocabulary (sha256 {str(data.get('sha256'))[:12]}) is not that of "
                f"this version's tales ({VOCABULARY_HASH[:12]}); use the version that wrote it, "
                "or train again."
            )
        return cls()

    def _id(self, word: str) -> int:
        if word not in self._ids:
            near = difflib.get_close_matches(word, VOCABULARY[1:], n=1)
            guess = f"; did you mean {near[0]!r}?" if near else "; try 'Once upon a time'."
            raise UserError(f"the stories do not know the word {word!r}{guess}")
        return self._ids[word]
