"""Change next-token logits as transformers' logits processors do, in their order.

Penalties come first, each on what the one before it left: repetition, frequency and presence,
repeated n-grams. Then temperature, top-k, top-p, min-p and typical-p cut, each renormalising.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from gpt2_small.errors import UserError
from gpt2_small.generation.sampling_options import SamplingOptions

Logits = Float[Tensor, "batch d_vocab"]
FLOAT32 = torch.finfo(torch.float32)


def without_padding(logits: Logits, vocab_size: int) -> Logits:
    """The logits with ids beyond the tokenizer's vocabulary made impossible."""
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
    """The logits after the penalties, whatever their size still numbers or minus infinity.

    prompts, drawn: the tokens of each row's prompt, and those that it has drawn.

    Raises UserError when n-grams that may not be repeated leave a row no token.
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
    """The nearest number that float32 can represent, 0 only for 0."""
    size = min(max(abs(number), FLOAT32.tiny), FLOAT32.max)
    return math.copysign(size, number) if number else 0.0


def counts_of(rows: Sequence[Sequence[int]], logits: Logits) -> Float[Tensor, "batch d_vocab"]:
    """How often each row holds each token."""
    counts = torch.zeros_like(logits)
    for count, row in zip(counts, rows, strict=True):
        tokens = torch.tensor(row, dtype=torch.long, device=logits.device)
        count.index_add_(0, tokens, torch.ones_like(tokens, dtype=count.dtype))
    return counts


def completing_tokens(
    rows: Sequence[Sequence[int]], size: int, logits: Logits
) -> Bool[Tensor, "batch d_vocab"]:
    """The tokens that would end an n-gram of this size which a row holds already."""
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
    """The logits after temperature, top-k, top-p, min-p and typical-p, ready to be drawn from.

    The most likely token is kept by each but typical-p, which keeps the most typical one.
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
    """The distribution that a stream draws from after the penalties and all cuts.

    prompts, drawn: as `penalised` takes them, and refuses them.
    """
    logits = penalised(logits.float(), prompts, drawn, options)
    if options.temperature == 0:
        return torch.nn.functional.one_hot(logits.argmax(dim=-1), logits.shape[1]).float()
    return cut(logits, options).softmax(dim=-1)


def top_p_cut(logits: Logits, top_p: float) -> Logits:
    """The most likely tokens that add up to top_p, the one that crosses it included."""
    ascending, token_of_rank = logits.sort(dim=-1)
    is_dropped = ascending.softmax(dim=-1).cumsum(dim=-1) <= 1 - top_p
    is_dropped[:, -1] = False
    return logits.masked_fill(is_dropped.scatter(1, token_of_rank, is_dropped), -math.inf)


def typical_p_cut(logits: Logits, typical_p: float) -> Logits:
    """The tokens whose surprise is nearest to the expected one, up to a probability of typical_p.

    The one that crosses it is included (Meister et al. 2023, "Locally Typical Sampling",
    section 4).
    """
    log_probabilities = logits.log_softmax(dim=-1)
    probabilities = log_probabilities.exp()
    entropy = -(probabilities * log_probabilities).nansum(dim=-1, keepdim=True)
    distance, token_of_rank = (-log_probabilities - entropy).abs().sort(dim=-1)
    reached = probabilities.gather(1, token_of_rank).cumsum(dim=-1)
    last = (reached < typical_p).sum(dim=-1, keepdim=True).clamp(max=logits.shape[1] - 1)
    is_dropped = distance > distance.gather(1, last)
    return logits.masked_fill(is_dropped.scatter(1, token_of_rank, is_dropped), -math.inf)
