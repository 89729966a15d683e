"""Draw many samples at once, without a record of each token."""

from collections.abc import Callable, Collection, Sequence
from types import ModuleType

import torch
from torch import Tensor

from gpt2_small.generation.decoder import Decoder, decoder_for, rows_at_once
from gpt2_small.generation.sampling.logit_processors import without_padding
from gpt2_small.model_protocol import Model

# Larger batches do not raise the throughput.
LARGEST_BATCH = 256


def sample_many(
    solution: ModuleType,
    model: Model,
    prompts: Sequence[Sequence[int]],
    new_tokens: int,
    *,
    seed: int,
    stop_tokens: Collection[int] = (),
    vocab_size: int | None = None,
) -> list[list[int]]:
    """Draw up to new_tokens token ids after each prompt, at temperature 1.

    The samples share one generator, so that each sample depends on the other prompts.

    stop_tokens: each ends a sample, and is its last token.
    vocab_size: the tokenizer's, if the model's vocabulary is padded.
    """
    device = next(model.parameters()).device
    generator = torch.Generator(device).manual_seed(seed)
    vocab_size = vocab_size or model.config.d_vocab

    def draw(logits: Tensor) -> Tensor:
        tokens: Tensor = solution.sample(without_padding(logits, vocab_size), generator=generator)
        return tokens.long()

    samples: list[list[int]] = []
    decoder, batch = decoder_for(model), min(LARGEST_BATCH, rows_at_once(model))
    for first in range(0, len(prompts) if new_tokens else 0, batch):
        rows = prompts[first : first + batch]
        samples += _continued(draw, decoder, rows, new_tokens, frozenset(stop_tokens))
    return samples or [[] for _ in prompts]


@torch.no_grad()
def _continued(
    draw: Callable[[Tensor], Tensor],
    decoder: Decoder,
    prompts: Sequence[Sequence[int]],
    new_tokens: int,
    stop_tokens: frozenset[int],
) -> list[list[int]]:
    samples: list[list[int]] = [[] for _ in prompts]
    rows = samples
    logits = decoder.prefill(prompts)
    for left in reversed(range(new_tokens)):
        tokens = draw(logits)
        for sample, token in zip(rows, tokens.tolist(), strict=True):
            if not (sample and sample[-1] in stop_tokens):
                sample.append(token)
        unfinished = [number for number, sample in enumerate(rows) if sample[-1] not in stop_tokens]
        if not unfinished or not left:
            break
        if 2 * len(unfinished) <= len(rows):
            decoder.select(unfinished)
            rows, tokens = [rows[number] for number in unfinished], tokens[unfinished]
        logits = decoder.step(tokens)
    return samples
