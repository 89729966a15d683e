"""Give the conversations of a step: each once an epoch, those of one step about as long.

What a step trains on is a function of the seed and the step alone.
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
    """Numbers of the conversations of a step, the shortest first within each epoch's part.

    An epoch shuffles all conversations, sorts stretches of 32 steps by length, cuts them into
    steps and shuffles those. The step in which one epoch ends and the next begins has the rest of
    the one and the first of the other.

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
    """All conversations in the order of an epoch, cut where the run's steps are cut."""
    lengths_ = np.frombuffer(lengths, dtype=np.int64)
    count = len(lengths_)
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(count)
    head = min(count, -(epoch * count) % batch_size)
    steps = (count - head) // batch_size
    whole = order[head : head + steps * batch_size]
    found = []
    for start in range(0, len(whole), STEPS_SORTED_TOGETHER * batch_size):
        stretch = whole[start : start + STEPS_SORTED_TOGETHER * batch_size]
        by_length = stretch[np.argsort(lengths_[stretch], kind="stable")]
        found.append(rng.permutation(by_length.reshape(-1, batch_size)))
    middle = np.concatenate(found).reshape(-1) if found else whole
    return np.concatenate([order[:head], middle, order[head + len(middle) :]])


def masked_batch(chats: ChatSplit, numbers: Sequence[int] | np.ndarray) -> Int[Tensor, "batch seq"]:
    """Conversations as rows, padded on the right; what is no target holds `~token`.

    The first token of a row can be no target.
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
    """One process's share of conversations, once, those of about one length together.

    Args:
        first: only so many conversations; all when None.
    """
    order = np.argsort(chats.lengths[:first], kind="stable")[rank::world_size]
    for start in range(0, len(order), batch_size):
        yield masked_batch(chats, order[start : start + batch_size])
