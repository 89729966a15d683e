"""A byte-pair vocabulary trained on the user's own text, with the `tokenizers` library."""

import itertools
import json
from collections.abc import Iterator, Sequence
from typing import Any

from tokenizers import Tokenizer as Engine
from tokenizers import models, pre_tokenizers, trainers

from gpt2_small.errors import UserError
from gpt2_small.text.gpt2_pattern import chunks
from gpt2_small.text.gpt2_table import byte_letters
from gpt2_small.text.protocol import (
    END_OF_TEXT,
    bytes_to_text,
    check_ids,
    encode_around_escapes,
    escape_surrogates,
)

CHUNK_CHARACTERS = 2**15
CHUNKS_AT_ONCE = 64
SMALLEST_SIZE = 257  # 256 bytes and the end of text

Merge = tuple[str, str]


class BytePairTokenizer:
    """Byte-level byte-pair encoding (Sennrich et al. 2016; Radford et al. 2019, section 2.2).

    Ids: 256 bytes in the order of their stand-in letters, then the merges in the order of training,
    then `<|endoftext|>`, which no text encodes to.

    Args:
        merges: pairs of tokens in GPT-2's stand-in letters, the most frequent first.
    """

    def __init__(self, merges: Sequence[Merge]) -> None:
        letters = byte_letters()
        self.vocabulary = {letter: id for id, letter in enumerate(sorted(letters))}
        for left, right in merges:
            if left not in self.vocabulary or right not in self.vocabulary:
                raise UserError(
                    f"merge {left!r} {right!r} joins a token that no merge before made."
                )
            self.vocabulary.setdefault(left + right, len(self.vocabulary))
        self.merges = list(merges)
        self.end_of_text = len(self.vocabulary)
        self.vocab_size = self.end_of_text + 1
        self.name = f"bpe:{self.vocab_size}"
        self._bytes = [bytes(letters[letter] for letter in token) for token in self.vocabulary]
        self._bytes.append(END_OF_TEXT.encode())
        self._byte_ids = [0] * 256
        for letter, byte in letters.items():
            self._byte_ids[byte] = self.vocabulary[letter]
        self._engine = _engine(models.BPE(vocab=self.vocabulary, merges=self.merges))

    @classmethod
    def train(cls, text: str, vocab_size: int) -> "BytePairTokenizer":
        """Learns the merges of `text`; the same text gives the same merges.

        Raises:
            UserError: the text has too few different pairs for `vocab_size` tokens.
        """
        if vocab_size < SMALLEST_SIZE:
            raise UserError(
                f"bpe:{vocab_size} is too small: 256 bytes and the end of text take "
                f"{SMALLEST_SIZE}; try bpe:1024."
            )
        engine = _engine(models.BPE())
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size - 1, show_progress=False, initial_alphabet=sorted(byte_letters())
        )
        engine.train_from_iterator(chunks(escape_surrogates(text), CHUNK_CHARACTERS), trainer)
        tokenizer = cls([tuple(pair) for pair in json.loads(engine.to_str())["model"]["merges"]])
        if tokenizer.vocab_size < vocab_size:
            raise UserError(
                f"bpe:{vocab_size} is more than this text can fill: its {len(text)} characters "
                f"give {tokenizer.vocab_size} tokens; use {tokenizer.name} or a longer text."
            )
        return tokenizer

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "BytePairTokenizer":
        """Restores what `to_dict` gave."""
        merges = [tuple(merge.split(" ")) for merge in data["merges"]]
        if any(len(merge) != 2 for merge in merges):
            raise UserError("a merge must be two tokens with one space between them.")
        return cls([(merge[0], merge[1]) for merge in merges])

    def encode(self, text: str) -> list[int]:
        """Ids of `text`. A surrogate that stands for one byte (PEP 383) becomes that byte."""
        return encode_around_escapes(text, self._encode_clean, self._byte_ids)

    def encode_bytes(self, data: bytes) -> list[int]:
        """Ids of any bytes; `decode_bytes` gives them back."""
        return self.encode(bytes_to_text(data))

    def decode(self, ids: Sequence[int]) -> str:
        """Text of `ids`; bytes that are not UTF-8 are shown as U+FFFD."""
        return self.decode_bytes(ids).decode(errors="replace")

    def decode_bytes(self, ids: Sequence[int]) -> bytes:
        """Bytes of `ids`."""
        check_ids(ids, self)
        return b"".join([self._bytes[id] for id in ids])

    def to_dict(self) -> dict[str, Any]:
        """The merges, from which all the rest follows."""
        return {"name": self.name, "merges": [f"{left} {right}" for left, right in self.merges]}

    def _encode_clean(self, text: str) -> list[int]:
        ids: list[int] = []
        for batch in _batches(chunks(text, CHUNK_CHARACTERS)):
            for encoding in self._engine.encode_batch_fast(batch, add_special_tokens=False):
                ids += encoding.ids
        return ids


def _engine(model: models.BPE) -> Engine:
    engine = Engine(model)
    engine.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    return engine


def _batches(pieces: Iterator[str]) -> Iterator[list[str]]:
    while batch := list(itertools.islice(pieces, CHUNKS_AT_ONCE)):
        yield batch
