"""Train and apply byte-level byte-pair encodings with the `tokenizers` library."""

import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tokenizers import Tokenizer as Engine
from tokenizers import models, pre_tokenizers, trainers

from gpt2_small.errors import UserError
from gpt2_small.tokenizers.gpt2_table import byte_letters
from gpt2_small.tokenizers.pretoken_split import chunks
from gpt2_small.tokenizers.protocol import END_OF_TEXT, AnyBytesTokenizer, check_ids
from gpt2_small.tokenizers.surrogates import encode_around_escapes, escape_surrogates

CHUNK_CHARACTERS = 2**15
CHUNKS_AT_ONCE = 64
SMALLEST_SIZE = 257  # 256 bytes and the end of text
LONGEST_WORD = 256  # characters; longer words are split for training, whose time is quadratic

Merge = tuple[str, str]
_LONG_WORD = re.compile(rf"\S{{{LONGEST_WORD}}}(?=\S)")


class ByteLevelTokenizer(AnyBytesTokenizer):
    """Byte-level byte pairs (Sennrich et al. 2016; Radford et al. 2019, section 2.2), any ids.

    Tokens that are neither bytes nor results of merges, such as the end of text, are special: no
    text encodes to them.

    Args:
        vocabulary: all tokens in GPT-2's byte letters, with consecutive ids from 0.
        merges: pairs of tokens, in order of priority.
        end_of_text: the token that separates documents, if there is one.

    Raises:
        UserError: a byte, or an input or result of a merge, is not a token; or the ids have a gap.
    """

    name = "byte-level"

    def __init__(
        self, vocabulary: Mapping[str, int], merges: Sequence[Merge], *, end_of_text: str | None
    ) -> None:
        letters = byte_letters()
        self.vocabulary, self.merges = dict(vocabulary), list(merges)
        _check_complete(self.vocabulary, self.merges)
        self.vocab_size = len(self.vocabulary)
        self.end_of_text = None if end_of_text is None else self.vocabulary[end_of_text]
        of_text = {*letters, *(left + right for left, right in self.merges)}
        self._special = {name: id for name, id in self.vocabulary.items() if name not in of_text}
        self._bytes = [
            bytes(letters[letter] for letter in token) if token in of_text else token.encode()
            for token in sorted(self.vocabulary, key=self.vocabulary.__getitem__)
        ]
        self._byte_ids = [0] * 256
        for letter, byte in letters.items():
            self._byte_ids[byte] = self.vocabulary[letter]
        self._engine = _engine(models.BPE(vocab=self.vocabulary, merges=self.merges))

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "ByteLevelTokenizer":
        """Restore a tokenizer from `to_dict`."""
        return cls(data["vocabulary"], _pairs(data["merges"]), end_of_text=data["end_of_text"])

    @property
    def special_tokens(self) -> Mapping[str, int]:
        """The special tokens, to which no text encodes."""
        return self._special

    def encode(self, text: str) -> list[int]:
        """Ids of `text`. A surrogate that stands for one byte (PEP 383) becomes that byte."""
        return encode_around_escapes(text, self._encode_clean, self._byte_ids)

    def decode_bytes(self, ids: Sequence[int]) -> bytes:
        """Bytes of `ids`."""
        check_ids(ids, self)
        return b"".join([self._bytes[id] for id in ids])

    def to_dict(self) -> dict[str, Any]:
        """The vocabulary, the merges and the end of text."""
        end = None if self.end_of_text is None else self._bytes[self.end_of_text].decode()
        merges = [f"{left} {right}" for left, right in self.merges]
        return {
            "name": self.name,
            "vocabulary": self.vocabulary,
            "merges": merges,
            "end_of_text": end,
        }

    def _encode_clean(self, text: str) -> list[int]:
        ids: list[int] = []
        for batch in _batches(chunks(text, CHUNK_CHARACTERS)):
            for encoding in self._engine.encode_batch_fast(batch, add_special_tokens=False):
                ids += encoding.ids
        return ids


class BytePairTokenizer(ByteLevelTokenizer):
    """Byte-level byte pairs trained on a user's text.

    Ids: 256 bytes in the order of their letters, then the merges in the order of training, then
    `<|endoftext|>`, to which no text encodes.

    Args:
        merges: pairs of tokens in GPT-2's byte letters, in the order of training.
    """

    def __init__(self, merges: Sequence[Merge]) -> None:
        super().__init__(byte_pair_vocabulary(merges), merges, end_of_text=END_OF_TEXT)
        self.name = f"bpe:{self.vocab_size}"

    @classmethod
    def train(cls, text: str, vocab_size: int) -> "BytePairTokenizer":
        """Learn merges from `text`, deterministically.

        Raises:
            UserError: the text has too few different pairs for `vocab_size` tokens.
        """
        if vocab_size < SMALLEST_SIZE:
            raise UserError(
                f"bpe:{vocab_size} is too small: 256 bytes and the end of text take "
                f"{SMALLEST_SIZE}; try bpe:1024"
            )
        engine = _engine(models.BPE())
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size - 1, show_progress=False, initial_alphabet=sorted(byte_letters())
        )
        pieces = map(_with_short_words, chunks(escape_surrogates(text), CHUNK_CHARACTERS))
        engine.train_from_iterator(pieces, trainer)
        tokenizer = cls([tuple(pair) for pair in json.loads(engine.to_str())["model"]["merges"]])
        if tokenizer.vocab_size < vocab_size:
            raise UserError(
                f"bpe:{vocab_size} is too large for this text: its {len(text)} characters give "
                f"{tokenizer.vocab_size} tokens; use {tokenizer.name} or a longer text"
            )
        return tokenizer

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "BytePairTokenizer":
        """Restore a tokenizer from `to_dict`."""
        return cls(_pairs(data["merges"]))

    def to_dict(self) -> dict[str, Any]:
        """The name and the merges, which determine everything else."""
        return {"name": self.name, "merges": [f"{left} {right}" for left, right in self.merges]}


def byte_pair_vocabulary(merges: Sequence[Merge]) -> dict[str, int]:
    """The vocabulary of a `BytePairTokenizer`: bytes, merges and the end of text.

    Raises:
        UserError: a merge joins a token that no earlier merge made.
    """
    vocabulary = {letter: id for id, letter in enumerate(sorted(byte_letters()))}
    for left, right in merges:
        if left not in vocabulary or right not in vocabulary:
            raise UserError(f"merge {left!r} {right!r} joins a token that no earlier merge made")
        vocabulary.setdefault(left + right, len(vocabulary))
    vocabulary[END_OF_TEXT] = len(vocabulary)
    return vocabulary


def _with_short_words(text: str) -> str:
    """Insert a space after every LONGEST_WORD characters without one."""
    return _LONG_WORD.sub(r"\g<0> ", text)


def _check_complete(vocabulary: dict[str, int], merges: list[Merge]) -> None:
    missing = [letter for letter in byte_letters() if letter not in vocabulary]
    if missing:
        raise UserError(f"{len(missing)} of the 256 bytes are missing")
    if sorted(vocabulary.values()) != list(range(len(vocabulary))):
        raise UserError(f"the ids of its {len(vocabulary)} tokens do not run from 0 without a gap")
    for left, right in merges:
        for token in (left, right, left + right):
            if token not in vocabulary:
                raise UserError(f"merge {left!r} {right!r} needs {token!r}, which is not a token")


def _pairs(lines: Sequence[str]) -> list[Merge]:
    pairs = [line.split(" ") for line in lines]
    if any(len(pair) != 2 for pair in pairs):
        raise UserError("a merge must be two tokens with one space between them")
    return [(left, right) for left, right in pairs]


def _engine(model: models.BPE) -> Engine:
    engine = Engine(model)
    engine.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    return engine


def _batches(pieces: Iterator[str]) -> Iterator[list[str]]:
    while batch := list(itertools.islice(pieces, CHUNKS_AT_ONCE)):
        yield batch
