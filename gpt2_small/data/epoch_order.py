"""Draw windows without replacement: each once per epoch, from a seed and a step alone."""

import numpy as np
import torch
from torch import Tensor

from gpt2_small.data.batches import Tokens, check_length
from gpt2_small.data.shards.token_sequence import TokenSequence

ROUNDS = 4
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


def epoch_positions(*, seed: int, step: int, batch_size: int, count: int) -> np.ndarray:
    """The items of a step, over all processes, int64 [batch_size].

    A step may contain the end of one epoch and the beginning of the next. Every epoch contains each
    item once, in its own order. The order takes constant memory: it is a Feistel network over the
    numbers below the next power of four, applied repeatedly until the result is an item (Black and
    Rogaway 2002, "Ciphers with Arbitrary Finite Domains", section 3).

    Args:
        count: items in an epoch, at least 1.
    """
    first = step * batch_size
    epochs = np.empty(batch_size, dtype=object)
    places = np.empty(batch_size, dtype=np.uint64)
    for row in range(batch_size):
        epochs[row], places[row] = divmod(first + row, count)
    chosen = np.empty(batch_size, dtype=np.int64)
    for epoch in sorted(set(epochs)):
        rows = epochs == epoch
        chosen[rows] = permuted(places[rows], count, seed=seed, number=epoch)
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
    """Draw one process's share of a step's windows, each once per epoch, int64 [batch seq+1].

    The last target of a window is the first input of the next; tokens after the last full window
    are left out.

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
    """The images of these places under the permutation of range(count) with this number, int64."""
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
