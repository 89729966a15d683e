"""Tokenize as GPT-2 does: byte-level byte-pair encoding with the published table."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tiktoken

from gpt2_small.tokenizers.gpt2_table import gpt2_ranks, ranks_to_merges
from gpt2_small.tokenizers.pretoken_split import PATTERN, chunks
from gpt2_small.tokenizers.protocol import END_OF_TEXT, AnyBytesTokenizer, check_ids
from gpt2_small.tokenizers.surrogates import encode_around_escapes, has_surrogates

# Large enough to make the cost of a call negligible, small enough to limit tiktoken's memory, and
# far below the million whitespace characters that overflow its stack.
CHUNK_CHARACTERS = 2**17


class GPT2Tokenizer(AnyBytesTokenizer):
    """GPT-2's tokenizer: 256 bytes, 50,000 merges, `<|endoftext|>` (Radford et al. 2019, 2.2).

    `<|endoftext|>` in a text is encoded as plain characters. tiktoken does the work.

    Args:
        table: the path of the ranks, as in `gpt2_table.gpt2_ranks`; None searches for them.
    """

    name = "gpt2"
    vocab_size = 50257
    end_of_text = 50256

    def __init__(self, table: str | Path | None = None) -> None:
        self.ranks = gpt2_ranks(table)
        self._byte_ids = [self.ranks[bytes([byte])] for byte in range(256)]
        self._engine = tiktoken.Encoding(
            self.name,
            pat_str=PATTERN,
            mergeable_ranks=self.ranks,
            special_tokens={END_OF_TEXT: self.end_of_text},
            explicit_n_vocab=self.vocab_size,
        )

    @cached_property
    def merges(self) -> list[tuple[bytes, bytes]]:
        """The pair of tokens merged by each rank above 255, in order."""
        return ranks_to_merges(self.ranks)

    def encode(self, text: str) -> list[int]:
        """Ids of `text`. A surrogate that stands for one byte (PEP 383) becomes that byte."""
        return encode_around_escapes(text, self._encode_clean, self._byte_ids)

    def encode_array(self, text: str, *, threads: int = 1) -> np.ndarray:
        """Ids of a long text, `[tokens]` uint16, without an intermediate list of integers.

        Args:
            threads: the number of threads that encode parts of it; the ids are the same.
        """
        if has_surrogates(text):
            return np.array(self.encode(text), dtype=np.uint16)
        pieces = chunks(text, CHUNK_CHARACTERS)
        if threads == 1:
            parts = list(map(self._encode_chunk, pieces))
        else:
            with ThreadPoolExecutor(threads) as pool:
                parts = list(pool.map(self._encode_chunk, pieces))
        return np.concatenate([np.empty(0, dtype=np.uint16), *parts])

    def decode_bytes(self, ids: Sequence[int]) -> bytes:
        """Bytes of `ids`."""
        check_ids(ids, self)
        return self._engine.decode_bytes(ids)

    def to_dict(self) -> dict[str, Any]:
        """The name; the table is always the same."""
        return {"name": self.name}

    def _encode_clean(self, text: str) -> list[int]:
        ids: list[int] = []
        for chunk in chunks(text, CHUNK_CHARACTERS):
            ids += self._engine.encode_ordinary(chunk)
        return ids

    def _encode_chunk(self, text: str) -> np.ndarray:
        return self._engine.encode_to_numpy(text, disallowed_special=()).astype(np.uint16)
