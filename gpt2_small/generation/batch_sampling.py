"""Draw many samples at once, without a record of each token."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from gpt2_small.generation.decoders import Decoder, decoder_for, rows_at_once
from gpt2_small.generation.logit_processors import without_padding

# More rows than this are no faster for each.
FASTEST_ROWS = 256


def sample_many(
    solution: ModuleType,
    model: Any,
    start_token: int,
    count: int,
    new_tokens: int,
    *,
    seed: int,
    stop_token: int | None = None,
    vocab_size: int | None = None,
) -> list[list[int]]:
    """Token ids of `count` samples at temperature 1, each start_token and the tokens after it.

    The samples share one stream of random numbers: another count gives others.

    stop_token: ends a sample, and is its last token.
    vocab_size: the tokenizer's, where the model's may be padded beyond it.
    """
    device = next(model.parameters()).device
    generator = torch.Generator(device).manual_seed(seed)
    known = vocab_size or model.config.d_vocab

    def drawn(logits: Tensor) -> Tensor:
        tokens: Tensor = solution.sample(without_padding(logits, known), generator=generator)
        return tokens

    samples: list[list[int]] = []
    decoder = decoder_for(model)
    while len(samples) < count:
        batch = min(count - len(samples), FASTEST_ROWS, rows_at_once(model))
        started = [[start_token] for _ in range(batch)]
        samples += _continued(drawn, decoder, started, new_tokens, stop_token)
    return samples


@torch.no_grad()
def _continued(
    drawn: Callable[[Tensor], Tensor],
    decoder: Decoder,
    samples: list[list[int]],
    new_tokens: int,
    stop_token: int | None,
) -> list[list[int]]:
    if not new_tokens:
        return samples
    logits = decoder.prefill(samples)
    rows = list(samples)
    for left in reversed(range(new_tokens)):
        tokens = drawn(logits)
        for sample, token in zip(rows, tokens.tolist(), strict=True):
            if len(sample) == 1 or sample[-1] != stop_token:
                sample.append(token)
        going_on = [number for number, sample in enumerate(rows) if sample[-1] != stop_token]
        if not going_on or not left:
            break
        if 2 * len(going_on) <= len(rows):
            decoder.select(going_on)
            rows, tokens = [rows[number] for number in going_on], tokens[going_on]
        logits = decoder.step(tokens)
    return samples
