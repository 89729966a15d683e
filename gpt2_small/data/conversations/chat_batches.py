"""Batch conversations: each once per epoch, with others of similar length.

The batch of a step is a function of the seed and the step alone.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from gpt2_small.data.conversations.chat_folder import ChatSplit

STEPS_SORTED_TOGETHER = 32


def conversations_of_step(
    lengths: np.ndarray, *, seed: int, step: int, batch_size: int
) -> np.ndarray:
    """The indices of the conversations of a step, sorted by length.

    An epoch shuffles all conversations, sorts groups of 32 steps by length, divides them into steps
    and shuffles these. A step may contain the last conversations of one epoch and the first of the
    next.

    Args:
        lengths: tokens of each conversation.
        step: from 0.
    """
    first, last = step * batch_size, (step + 1) * batch_size
    count, parts = len(lengths), []
    while first < last:
        epoch, place = divmod(first, count)
        until = min(count, place + last - first)
        order = _epoch_order(lengths.tobytes(), seed, epoch, batch_size)
        parts.append(order[place:until])
        first += until - place
    return np.concatenate(parts)


@lru_cache(maxsize=4)
def _epoch_order(lengths: bytes, seed: int, epoch: int, batch_size: int) -> np.ndarray:
    """The indices of all conversations in the order of an epoch, aligned with the run's steps."""
    lengths_ = np.frombuffer(lengths, dtype=np.int64)
    count = len(lengths_)
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(count)
    head = min(count, -(epoch * count) % batch_size)
    steps = (count - head) // batch_size
    full_steps = order[head : head + steps * batch_size]
    groups = []
    for start in range(0, len(full_steps), STEPS_SORTED_TOGETHER * batch_size):
        group = full_steps[start : start + STEPS_SORTED_TOGETHER * batch_size]
        by_length = group[np.argsort(lengths_[group], kind="stable")]
        groups.append(rng.permutation(by_length.reshape(-1, batch_size)))
    middle = np.concatenate(groups).reshape(-1) if groups else full_steps
    return np.concatenate([order[:head], middle, order[head + len(middle) :]])


def masked_batch(chats: ChatSplit, numbers: Sequence[int] | np.ndarray) -> Int[Tensor, "batch seq"]:
    """Conversations as rows, padded on the right; a token that is no target is stored as `~token`.

    The first token of a row is never a target.
    """
    rows = [chats.conversation(int(number)) for number in numbers]
    batch = np.full((len(rows), max(len(ids) for ids, _ in rows)), ~0, dtype=np.int64)
    for row, (ids, is_target) in zip(batch, rows, strict=True):
        tokens = ids.astype(np.int64)
        row[: len(ids)] = np.where(is_target, tokens, ~tokens)
    return torch.from_numpy(batch)


def held_out_batches(
    chats: ChatSplit,
    *,
    batch_size: int,
    rank: int = 0,
    world_size: int = 1,
    first: int | None = None,
) -> Iterator[Int[Tensor, "batch seq"]]:
    """Batch one process's share of all conversations, in order of length.

    Args:
        first: use only the first so many conversations; None for all.
    """
    order = np.argsort(chats.lengths[:first], kind="stable")[rank::world_size]
    for start in range(0, len(order), batch_size):
        yield masked_batch(chats, order[start : start + batch_size])
