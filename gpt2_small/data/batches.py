"""Draw random windows of tokens for training, and all windows in order for evaluation."""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from gpt2_small.data.shards.token_sequence import TokenSequence
from gpt2_small.errors import UserError

Tokens = np.ndarray | TokenSequence


def batch_at(
    tokens: Tokens,
    *,
    seed: int,
    step: int,
    batch_size: int,
    n_ctx: int,
    rank: int = 0,
    world_size: int = 1,
) -> Int[Tensor, "batch seq_plus_1"]:
    """Draw one process's share of a step's batch, a pure function of `seed` and `step`.

    Windows start at uniformly random positions, drawn with replacement. All ranks draw the same
    `batch_size` positions and use their own rows: the concatenated shares of all ranks are the
    batch of a single process.

    Args:
        tokens: `[tokens]`, any integer type; an array or shards.
        seed: at least 0.
        step: at least 0.
        batch_size: windows over all processes.
        n_ctx: targets in a window, which has n_ctx + 1 tokens.

    Returns:
        `[batch_size / world_size, n_ctx + 1]`, int64.

    Raises:
        UserError: fewer tokens than one window, or a batch that cannot be divided equally.
    """
    check_length(len(tokens), n_ctx)
    if batch_size < 1 or batch_size % world_size:
        raise UserError(
            f"a batch of {batch_size} windows cannot be shared evenly by {world_size} processes; "
            f"use a multiple of {world_size}"
        )
    starts = np.random.default_rng([seed, step]).integers(len(tokens) - n_ctx, size=batch_size)
    share = batch_size // world_size
    mine = starts[rank * share : (rank + 1) * share]
    return _to_tensor(_windows(tokens, mine, n_ctx + 1))


def evaluation_batches(
    tokens: Tokens, *, n_ctx: int, batch_size: int, rank: int = 0, world_size: int = 1
) -> Iterator[Int[Tensor, "batch seq_plus_1"]]:
    """Batch all windows in order: every token but the first is a target exactly once.

    The last target of a window is the first input of the next one. The last window may be shorter
    and is a separate batch. Windows are assigned to the ranks in turn, which may get different
    numbers of batches: weight each batch by its targets, and reduce sums at the end.

    Args:
        tokens: `[tokens]`, any integer type; an array or shards.
        n_ctx: targets in a window, which has n_ctx + 1 tokens.
        batch_size: the most windows in a batch of this process.

    Raises:
        UserError: fewer than two tokens.
    """
    targets = len(tokens) - 1
    if targets < 1:
        raise UserError(f"{len(tokens)} tokens have no target to predict; give at least 2")
    starts = np.arange(0, targets, n_ctx)[rank::world_size]
    full = starts[starts + n_ctx <= targets]
    for first in range(0, len(full), batch_size):
        rows = full[first : first + batch_size]
        yield _to_tensor(_windows(tokens, rows, n_ctx + 1))
    for start in starts[len(full) :]:
        yield _to_tensor(_windows(tokens, np.array([start]), len(tokens) - start))


def check_length(length: int, n_ctx: int, name: str = "the text") -> None:
    """Raises UserError, with both numbers, for a text shorter than one window."""
    if n_ctx < 1:
        raise UserError(f"a context of {n_ctx} tokens is too short; it must be at least 1")
    if length <= n_ctx:
        raise UserError(
            f"{name} has {length} tokens, fewer than the {n_ctx + 1} of one window "
            f"(a context of {n_ctx} and its last target); {_way_out(length)}"
        )


def bigram_loss(
    train_tokens: np.ndarray, windows: Iterable[np.ndarray | Tensor], vocab_size: int
) -> float:
    """Compute the mean loss of a bigram model over all targets, in nats per token.

    The probability of b after a is (c(a, b) + t(a) p(b)) / (c(a) + t(a)), counted in training: c(a)
    pairs begin with a, t(a) different tokens follow it, and p(b) is the fraction of b among all
    targets, with one added to every count (Witten and Bell 1991, method C, interpolated). After a
    token without pairs the probability is p(b).

    Args:
        train_tokens: `[tokens]`, or `[windows seq+1]` whose rows are counted separately.
        windows: arrays `[seq+1]` or `[batch seq+1]`, such as those of `evaluation_batches`.
        vocab_size: the number of ids.

    Raises:
        UserError: no pair to count, or no target to predict.
    """
    first, second = _pairs(train_tokens)
    if len(first) == 0:
        raise UserError("a bigram model needs at least two tokens to count")
    seen, counts = np.unique(first * vocab_size + second, return_counts=True)
    starts = np.bincount(first, minlength=vocab_size)
    followers = np.bincount(seen // vocab_size, minlength=vocab_size)
    unigram = (np.bincount(second, minlength=vocab_size) + 1) / (len(second) + vocab_size)
    total, targets = 0.0, 0
    for window in windows:
        a, b = _pairs(window)
        code = a * vocab_size + b
        place = np.searchsorted(seen, code).clip(max=len(seen) - 1)
        count = np.where(seen[place] == code, counts[place], 0)
        weight = np.maximum(followers[a], 1)
        probability = (count + weight * unigram[b]) / (starts[a] + weight)
        total -= float(np.log(probability).sum())
        targets += len(a)
    if targets == 0:
        raise UserError("a bigram loss needs at least one target to predict")
    return total / targets


def _pairs(tokens: np.ndarray | Tensor) -> tuple[np.ndarray, np.ndarray]:
    array = np.asarray(tokens).astype(np.int64)
    return array[..., :-1].reshape(-1), array[..., 1:].reshape(-1)


def _windows(tokens: Tokens, starts: np.ndarray, length: int) -> np.ndarray:
    if isinstance(tokens, TokenSequence):
        return tokens.windows(starts, length)
    return np.asarray(tokens)[starts[:, None] + np.arange(length)]


def _to_tensor(windows: np.ndarray) -> Int[Tensor, "batch seq_plus_1"]:
    return torch.from_numpy(windows.astype(np.int64, copy=False))


def _way_out(length: int) -> str:
    if length < 2:
        return "give a longer text"
    return f"give a longer text or a context of at most {length - 1}"
