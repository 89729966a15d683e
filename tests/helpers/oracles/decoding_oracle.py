"""Compute the expected results of cached decoding: the model's output on the whole text."""

import copy
from typing import Any

import torch
from assert_close import assert_close
from strategies import Case

from gpt2_small.model import cached_decoder, packed_weights


def draw(case: Case, length: int, stream: int = 7) -> torch.Tensor:
    return torch.randint(case.d_vocab, (length,), generator=case.generator(stream))


def new_decoder(model: Any, **settings: Any) -> cached_decoder.CachedDecoder:
    """Return a cached decoder with newly packed weights."""
    weights = packed_weights.PackedTransformer(model, **settings)
    return cached_decoder.CachedDecoder(weights)


def assert_cached_is_uncached(
    model: Any, case: Case, lengths: list[int], new_tokens: int, *, native: bool | None = None
) -> None:
    """Compare cached decoding with the uncached model in float64, for every row and step."""
    uncached = copy.deepcopy(model).double()
    rows = [draw(case, length, stream=10 + number) for number, length in enumerate(lengths)]
    decoder = new_decoder(model, native=native)
    logits = decoder.prefill(rows)
    for step in range(new_tokens + 1):
        for number, row in enumerate(rows):
            expected = uncached(row[None, -case.n_ctx :])[0, -1].detach()
            what = f"row {number} after {step} tokens"
            assert_close(logits[number], expected.to(logits.dtype), what)
        if step < new_tokens:
            tokens = draw(case, len(rows), stream=50 + step)
            rows = [torch.cat([row, new[None]]) for row, new in zip(rows, tokens, strict=True)]
            logits = decoder.step(tokens)
