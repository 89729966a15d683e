"""Order items without replacement: each once a pass, from a seed and a step alone."""

import numpy as np
import torch
from torch import Tensor

from gpt2_small.data.batches import Tokens, check_length
from gpt2_small.data.shards.token_sequence import TokenSequence

ROUNDS = 4
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


def epoch_positions(*, seed: int, step: int, batch_size: int, count: int) -> np.ndarray:
    """Items of a step, over all processes, int64 [batch_size].

    The passes follow each other without a gap: a step may end one and begin the next. Every item
    comes once in a pass, and each pass has its own order. Nothing of the size of the data is held:
    the order is a Feistel network over the numbers below the next power of four, of which those
    that are no items are passed on until they are (Black and Rogaway 2002, "Ciphers with Arbitrary
    Finite Domains", section 3).

    Args:
        count: items in a pass, at least 1.
    """
    first = step * batch_size
    passes = np.empty(batch_size, dtype=object)
    places = np.empty(batch_size, dtype=np.uint64)
    for row in range(batch_size):
        passes[row], places[row] = divmod(first + row, count)
    chosen = np.empty(batch_size, dtype=np.int64)
    for number in sorted(set(passes)):
        rows = passes == number
        chosen[rows] = permuted(places[rows], count, seed=seed, number=number)
    return chosen


def epoch_batch_at(
    tokens: Tokens,
    *,
    seed: int,
    step: int,
    batch_size: int,
    n_ctx: int,
    rank: int = 0,
    world_size: int = 1,
) -> Tensor:
    """One process's share of a step's windows, each once a pass, int64 [batch seq+1].

    Windows follow each other without a gap but for the token that is the last target of one and the
    first input of the next; the tokens after the last whole window are left out.

    Args: as for `batch_at`.

    Raises:
        UserError: fewer tokens than one window.
    """
    check_length(len(tokens), n_ctx)
    count = (len(tokens) - 1) // n_ctx
    chosen = epoch_positions(seed=seed, step=step, batch_size=batch_size, count=count)
    share = batch_size // world_size
    starts = chosen[rank * share : (rank + 1) * share] * n_ctx
    if isinstance(tokens, TokenSequence):
        return torch.from_numpy(tokens.windows(starts, n_ctx + 1))
    windows = np.asarray(tokens)[starts[:, None] + np.arange(n_ctx + 1)]
    return torch.from_numpy(windows.astype(np.int64))


def permuted(places: np.ndarray, count: int, *, seed: int, number: int) -> np.ndarray:
    """The images of these places under a permutation of range(count), int64, by number."""
    half = np.uint64(max(1, ((count - 1).bit_length() + 1) // 2))
    keys = np.random.default_rng([seed, number]).integers(2**64, size=ROUNDS, dtype=np.uint64)
    result = _rounds(places.astype(np.uint64), half, keys)
    while (outside := result >= np.uint64(count)).any():
        result[outside] = _rounds(result[outside], half, keys)
    return result.astype(np.int64)


def _rounds(values: np.ndarray, half: np.uint64, keys: np.ndarray) -> np.ndarray:
    mask = (np.uint64(1) << half) - np.uint64(1)
    left, right = values >> half, values & mask
    for key in keys:
        mixed = (right ^ key) * _MULTIPLIER
        mixed = (mixed ^ (mixed >> np.uint64(29))) * _MULTIPLIER
        left, right = right, left ^ ((mixed >> np.uint64(32)) & mask)
    return (left << half) | right
