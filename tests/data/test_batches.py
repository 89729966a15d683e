"""Test windows for training and evaluation, and the bigram baseline."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gpt2_small.data.batches import batch_at, bigram_loss, evaluation_batches
from gpt2_small.errors import UserError

TOKENS = np.arange(1000, dtype=np.uint16)  # each token is its own position
BATCH = {"seed": 5, "step": 3, "batch_size": 12, "n_ctx": 8}


def test_a_batch_consists_of_windows_of_one_token_more_than_the_context():
    batch = batch_at(TOKENS, **BATCH)
    assert batch.dtype == torch.int64
    assert batch.shape == (12, 9)
    assert torch.equal(batch - batch[:, :1], torch.arange(9).expand(12, 9))


def test_a_batch_depends_only_on_its_seed_and_step():
    before = batch_at(TOKENS, **BATCH)
    torch.manual_seed(9)
    np.random.seed(9)
    for step in range(3):
        batch_at(TOKENS, **BATCH | {"step": step})
    assert torch.equal(batch_at(TOKENS, **BATCH), before)


@pytest.mark.parametrize("change", [{"seed": 6}, {"step": 4}, {"seed": 3, "step": 5}])
def test_another_seed_or_step_gives_another_batch(change):
    assert not torch.equal(batch_at(TOKENS, **BATCH | change), batch_at(TOKENS, **BATCH))


def test_the_order_of_the_data_is_that_of_earlier_versions():
    starts = batch_at(TOKENS, seed=1, step=2, batch_size=4, n_ctx=8)[:, 0]
    assert starts.tolist() == STORED_STARTS


STORED_STARTS = [638, 444, 930, 427]


@pytest.mark.parametrize("world_size", [1, 2, 3, 4, 6, 12])
def test_the_shares_of_all_ranks_stacked_are_the_batch_of_one_process(world_size):
    shares = [
        batch_at(TOKENS, **BATCH, rank=rank, world_size=world_size) for rank in range(world_size)
    ]
    assert {len(share) for share in shares} == {12 // world_size}
    assert torch.equal(torch.cat(shares), batch_at(TOKENS, **BATCH))


def test_every_window_can_be_drawn_including_the_first_and_the_last():
    tokens = np.arange(12)
    starts = {int(row[0]) for row in batch_at(tokens, seed=0, step=0, batch_size=500, n_ctx=8)}
    assert starts == {0, 1, 2, 3}


def test_a_memory_mapped_file_gives_the_batch_of_the_array(tmp_path):
    TOKENS.tofile(tmp_path / "tokens.bin")
    mapped = np.memmap(tmp_path / "tokens.bin", dtype=np.uint16, mode="r")
    assert torch.equal(batch_at(mapped, **BATCH), batch_at(TOKENS, **BATCH))


def test_ids_above_32767_stay_positive():
    tokens = np.full(20, 50256, dtype=np.uint16)
    assert batch_at(tokens, seed=0, step=0, batch_size=2, n_ctx=4).unique().tolist() == [50256]


def test_a_text_of_exactly_one_window_is_accepted():
    batch = batch_at(TOKENS[:9], **BATCH)
    assert torch.equal(batch, torch.arange(9).expand(12, 9))


def test_a_text_shorter_than_a_window_is_refused_with_both_numbers():
    with pytest.raises(UserError, match=r"8 tokens, fewer than the 9 .* context of at most 7"):
        batch_at(TOKENS[:8], **BATCH)


@pytest.mark.parametrize(("batch_size", "world_size"), [(12, 5), (0, 1), (3, 4)])
def test_a_batch_that_the_ranks_cannot_share_evenly_is_refused(batch_size, world_size):
    with pytest.raises(UserError, match=f"a batch of {batch_size} windows .* {world_size} process"):
        batch_at(TOKENS, **BATCH | {"batch_size": batch_size}, world_size=world_size)


@given(
    length=st.integers(2, 90),
    n_ctx=st.integers(1, 30),
    batch_size=st.integers(1, 5),
    world_size=st.integers(1, 4),
)
def test_evaluation_counts_every_target_once_for_any_number_of_ranks(
    length, n_ctx, batch_size, world_size
):
    targets = []
    for rank in range(world_size):
        for batch in evaluation_batches(
            TOKENS[:length], n_ctx=n_ctx, batch_size=batch_size, rank=rank, world_size=world_size
        ):
            assert len(batch) <= batch_size
            assert 2 <= batch.shape[1] <= n_ctx + 1
            assert torch.equal(batch[:, 1:], batch[:, :-1] + 1)
            targets += batch[:, 1:].flatten().tolist()
    assert sorted(targets) == list(range(1, length))


def test_evaluation_yields_the_shorter_last_window_as_its_own_batch():
    shapes = [tuple(b.shape) for b in evaluation_batches(TOKENS[:28], n_ctx=8, batch_size=2)]
    assert shapes == [(2, 9), (1, 9), (1, 4)]


def test_evaluation_of_a_single_token_is_refused():
    with pytest.raises(UserError, match="1 tokens have no target to predict"):
        next(evaluation_batches(TOKENS[:1], n_ctx=8, batch_size=2))


def test_the_bigram_loss_equals_the_smoothed_one_computed_by_hand():
    train, vocab_size = np.array([0, 1, 0, 1, 0, 2]), 4
    share = {0: (2 + 1) / 9, 1: (2 + 1) / 9, 2: (1 + 1) / 9, 3: (0 + 1) / 9}
    after_0 = (2 + 2 * share[1]) / (3 + 2)  # 0 is followed by 1 twice and by 2 once
    after_1 = (0 + 1 * share[3]) / (2 + 1)  # 1 is followed by 0 twice, never by 3
    after_3 = share[2]  # 3 is never followed by a token
    expected = -(math.log(after_0) + math.log(after_1) + math.log(after_3)) / 3
    assert bigram_loss(train, [np.array([0, 1, 3, 2])], vocab_size) == pytest.approx(expected)


@given(train=st.lists(st.integers(0, 6), min_size=2, max_size=40), before=st.integers(0, 6))
def test_the_bigram_probabilities_after_a_token_sum_to_one(train, before):
    losses = [bigram_loss(np.array(train), [np.array([before, after])], 7) for after in range(7)]
    assert sum(math.exp(-loss) for loss in losses) == pytest.approx(1)


def test_the_bigram_loss_of_a_known_chain_is_near_its_entropy_rate():
    random = np.random.default_rng(0)
    moves = random.random(200_000) < 0.2
    chain = np.cumsum(moves) % 5  # stays with probability 0.8, advances with 0.2
    entropy = -(0.8 * math.log(0.8) + 0.2 * math.log(0.2))
    windows = evaluation_batches(chain[100_000:], n_ctx=64, batch_size=16)
    assert bigram_loss(chain[:100_000], windows, 5) == pytest.approx(entropy, rel=0.02)


def test_bigrams_are_not_counted_across_rows():
    rows = np.array([[0, 1], [2, 3]])
    window = [np.array([1, 2])]
    assert bigram_loss(rows, window, 4) > bigram_loss(rows.flatten(), window, 4)


@pytest.mark.parametrize(("train", "windows"), [([1], [[0, 1]]), ([0, 1], []), ([0, 1], [[0]])])
def test_a_bigram_loss_without_bigrams_is_refused(train, windows):
    with pytest.raises(UserError, match="at least"):
        bigram_loss(np.array(train), [np.array(window) for window in windows], 2)
