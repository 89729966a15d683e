"""Test batches of conversations: each once an epoch, of similar lengths, with their targets."""

from pathlib import Path

import numpy as np
import pytest
import torch
from chat_folders import prepared

from gpt2_small.data.conversations.chat_batches import (
    conversations_of_step,
    held_out_batches,
    masked_batch,
)
from gpt2_small.data.conversations.chat_folder import open_chats

LENGTHS = np.random.default_rng(0).integers(5, 100, size=103)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared(tmp_path_factory.mktemp("prepared"))


@pytest.mark.parametrize("batch_size", [1, 8, 50, 103, 110])
def test_an_epoch_has_each_conversation_once(batch_size: int) -> None:
    steps = -(-3 * len(LENGTHS) // batch_size)
    order = np.concatenate(
        [
            conversations_of_step(LENGTHS, seed=1, step=step, batch_size=batch_size)
            for step in range(steps)
        ]
    )
    for epoch in range(3):
        part = order[epoch * len(LENGTHS) : (epoch + 1) * len(LENGTHS)]
        assert sorted(part) == list(range(len(LENGTHS)))
    assert not np.array_equal(order[: len(LENGTHS)], order[len(LENGTHS) : 2 * len(LENGTHS)])


def test_a_batch_depends_only_on_the_seed_and_the_step() -> None:
    alone = conversations_of_step(LENGTHS, seed=1, step=7, batch_size=8)
    for step in range(9):
        again = conversations_of_step(LENGTHS, seed=1, step=step, batch_size=8)
    del again
    assert np.array_equal(alone, conversations_of_step(LENGTHS, seed=1, step=7, batch_size=8))
    other = conversations_of_step(LENGTHS, seed=2, step=7, batch_size=8)
    assert not np.array_equal(alone, other)


def test_the_conversations_of_a_step_have_similar_lengths() -> None:
    lengths = np.random.default_rng(1).integers(5, 100, size=4000)
    padding = whole = 0
    for step in range(4000 // 16):
        chosen = lengths[conversations_of_step(lengths, seed=0, step=step, batch_size=16)]
        padding += (chosen.max() - chosen).sum()
        whole += 16 * chosen.max()
    assert padding / whole < 0.05


def test_rows_are_padded_on_the_right_and_carry_their_mask(folder: Path) -> None:
    chats = open_chats(folder).train
    batch = masked_batch(chats, [0, 5])
    for row, number in zip(batch, (0, 5), strict=True):
        ids, is_target = chats.conversation(number)
        tokens = torch.where(row < 0, ~row, row)
        assert tokens[: len(ids)].tolist() == ids.tolist()
        assert (row >= 0)[: len(ids)].tolist() == is_target.tolist()
        assert (row[len(ids) :] < 0).all()
    assert (batch[:, 0] < 0).all()


def test_every_held_out_conversation_is_evaluated_once_over_all_processes(folder: Path) -> None:
    chats = open_chats(folder).val
    targets = sum(
        int((batch >= 0).sum())
        for rank in range(2)
        for batch in held_out_batches(chats, batch_size=4, rank=rank, world_size=2)
    )
    assert targets == chats.is_target.sum()
