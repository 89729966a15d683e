"""What changes the logits before the solution's `sample` draws from them."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from gpt2_small.generation.sampling_options import SamplingOptions


def without_padding(
    logits: Float[Tensor, "batch d_vocab"], vocab_size: int
) -> Float[Tensor, "batch d_vocab"]:
    """The logits with ids beyond the tokenizer's vocabulary made impossible."""
    if logits.shape[1] <= vocab_size:
        return logits
    padding = torch.arange(logits.shape[1], device=logits.device) >= vocab_size
    return logits.masked_fill(padding, -math.inf)


def shaped(
    logits: Float[Tensor, "batch d_vocab"],
    seen: Bool[Tensor, "batch d_vocab"],
    options: SamplingOptions,
) -> Float[Tensor, "batch d_vocab"]:
    """The logits after the repetition penalty, then min-p.

    seen: which tokens a row holds already.
    """
    if options.repetition_penalty != 1:
        penalty = options.repetition_penalty
        penalised = torch.where(logits > 0, logits / penalty, logits * penalty)
        logits = torch.where(seen, penalised, logits)
    if options.min_p and options.temperature > 0:
        best = logits.max(dim=-1, keepdim=True).values
        least = best + options.temperature * math.log(options.min_p)
        logits = logits.masked_fill(logits < least, -math.inf)
    return logits
