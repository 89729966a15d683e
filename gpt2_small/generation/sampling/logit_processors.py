"""Apply transformers' logits processors, in their order.

First the penalties: repetition, frequency, presence, repeated n-grams. Then temperature, top-k,
top-p, min-p and typical-p, each on the renormalised output of the previous one.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from gpt2_small.errors import UserError
from gpt2_small.generation.sampling.sampling_options import SamplingOptions

Logits = Float[Tensor, "batch d_vocab"]
FLOAT32 = torch.finfo(torch.float32)


def without_padding(logits: Logits, vocab_size: int) -> Logits:
    """The logits with minus infinity for ids beyond the tokenizer's vocabulary."""
    if logits.shape[1] <= vocab_size:
        return logits
    padding = torch.arange(logits.shape[1], device=logits.device) >= vocab_size
    return logits.masked_fill(padding, -math.inf)


def penalised(
    logits: Logits,
    prompts: Sequence[Sequence[int]],
    drawn: Sequence[Sequence[int]],
    options: SamplingOptions,
) -> Logits:
    """Apply the penalties to the logits, which stay finite or minus infinity.

    prompts, drawn: each row's prompt and the tokens drawn so far.

    Raises UserError when no_repeat_ngram_size forbids every token of a row.
    """
    rows = [[*prompt, *new] for prompt, new in zip(prompts, drawn, strict=True)]
    impossible = logits == -math.inf
    if options.repetition_penalty != 1:
        penalty = within_float32(options.repetition_penalty)
        changed = torch.where(logits > 0, logits / penalty, logits * penalty)
        logits = torch.where(counts_of(rows, logits) > 0, changed, logits)
    if options.frequency_penalty or options.presence_penalty:
        counts = counts_of(drawn, logits)
        logits = logits - within_float32(options.frequency_penalty) * counts
        logits = logits - within_float32(options.presence_penalty) * (counts > 0)
    logits = logits.clamp(FLOAT32.min, FLOAT32.max).masked_fill(impossible, -math.inf)
    if options.no_repeat_ngram_size:
        banned = completing_tokens(rows, options.no_repeat_ngram_size, logits)
        logits = logits.masked_fill(banned, -math.inf)
        if (logits == -math.inf).all(dim=-1).any():
            raise UserError(
                f"no token is left that no_repeat_ngram_size = {options.no_repeat_ngram_size} "
                "allows; give a larger one, or fewer new tokens"
            )
    return logits


def within_float32(number: float) -> float:
    """Clamp a number to float32's range; a nonzero number stays nonzero."""
    size = min(max(abs(number), FLOAT32.tiny), FLOAT32.max)
    return math.copysign(size, number) if number else 0.0


def counts_of(rows: Sequence[Sequence[int]], logits: Logits) -> Float[Tensor, "batch d_vocab"]:
    """The number of occurrences of each token in each row."""
    counts = torch.zeros_like(logits)
    for count, row in zip(counts, rows, strict=True):
        tokens = torch.tensor(row, dtype=torch.long, device=logits.device)
        count.index_add_(0, tokens, torch.ones_like(tokens, dtype=count.dtype))
    return counts


def completing_tokens(
    rows: Sequence[Sequence[int]], size: int, logits: Logits
) -> Bool[Tensor, "batch d_vocab"]:
    """The tokens that would repeat an n-gram of this size in each row."""
    banned = torch.zeros_like(logits, dtype=torch.bool)
    for flags, row in zip(banned, rows, strict=True):
        begun = tuple(row[len(row) - size + 1 :]) if len(row) >= size else None
        ends = [
            row[start + size - 1]
            for start in range(len(row) - size + 1)
            if tuple(row[start : start + size - 1]) == begun
        ]
        flags[ends] = True
    return banned


def cut(logits: Logits, options: SamplingOptions) -> Logits:
    """Apply temperature, top-k, top-p, min-p and typical-p to the logits.

    Typical-p always keeps the most typical token, the others the most likely one.
    """
    logits = (logits - logits.amax(dim=-1, keepdim=True)) / within_float32(options.temperature)
    if options.top_k is not None:
        least = logits.topk(min(options.top_k, logits.shape[1])).values[:, -1:]
        logits = logits.masked_fill(logits < least, -math.inf)
    if options.top_p is not None and options.top_p < 1:
        logits = top_p_cut(logits, options.top_p)
    if options.min_p is not None:
        probabilities = logits.softmax(dim=-1)
        least = options.min_p * probabilities.amax(dim=-1, keepdim=True)
        logits = logits.masked_fill(probabilities < least, -math.inf)
    if options.typical_p is not None and options.typical_p < 1:
        logits = typical_p_cut(logits, options.typical_p)
    return logits


def drawn_probabilities(
    logits: Logits,
    prompts: Sequence[Sequence[int]],
    drawn: Sequence[Sequence[int]],
    options: SamplingOptions,
) -> Float[Tensor, "batch d_vocab"]:
    """The distribution from which a stream draws, after the penalties and all cuts.

    prompts, drawn: as in `penalised`.

    Raises UserError as `penalised` does.
    """
    logits = penalised(logits.float(), prompts, drawn, options)
    if options.temperature == 0:
        return torch.nn.functional.one_hot(logits.argmax(dim=-1), logits.shape[1]).float()
    return cut(logits, options).softmax(dim=-1)


def top_p_cut(logits: Logits, top_p: float) -> Logits:
    """Keep the most likely tokens up to a total probability of top_p, the crossing one included."""
    ascending, token_of_rank = logits.sort(dim=-1)
    is_dropped = ascending.softmax(dim=-1).cumsum(dim=-1) <= 1 - top_p
    is_dropped[:, -1] = False
    return logits.masked_fill(is_dropped.scatter(1, token_of_rank, is_dropped), -math.inf)


def typical_p_cut(logits: Logits, typical_p: float) -> Logits:
    """Keep the tokens of most typical surprise up to a total probability of typical_p.

    The crossing one is included (Meister et al. 2023, "Locally Typical Sampling", section 4).
    """
    log_probabilities = logits.log_softmax(dim=-1)
    probabilities = log_probabilities.exp()
    entropy = -(probabilities * log_probabilities).nansum(dim=-1, keepdim=True)
    distance, token_of_rank = (-log_probabilities - entropy).abs().sort(dim=-1)
    reached = probabilities.gather(1, token_of_rank).cumsum(dim=-1)
    last = (reached < typical_p).sum(dim=-1, keepdim=True).clamp(max=logits.shape[1] - 1)
    is_dropped = distance > distance.gather(1, last)
    return logits.masked_fill(is_dropped.scatter(1, token_of_rank, is_dropped), -math.inf)
