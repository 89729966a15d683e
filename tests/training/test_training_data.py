"""Test training data: the order of the stories' windows, and the fingerprint."""

import pytest
import torch
from shard_folders import made

from gpt2_small.training import training_data
from gpt2_small.training.training_data import (
    StoriesData,
    fingerprint,
    is_same_data,
    open_data,
)

STEP = {"step": 3, "batch_size": 8, "rank": 0, "world_size": 1}
PLAY = "".join(f"Line {number} of a play, spoken by nobody.\n" for number in range(200))
CUT = len(PLAY) - len(PLAY) // 10
STORED_WINDOWS = [[0, 18, 222, 41, 177], [0, 28, 215, 41, 208]]


@pytest.fixture
def play(tmp_path):
    path = tmp_path / "play.txt"
    path.write_text(PLAY)
    return path


def test_the_seed_determines_the_order_of_the_stories():
    data = StoriesData(n_ctx=16)
    batches = [data.batch(seed=seed, **STEP) for seed in (0, 7, 8)]
    assert torch.equal(batches[0], data.batch(seed=0, **STEP))
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert not torch.equal(batches[one], batches[other])


def test_the_order_of_seed_0_is_that_of_earlier_versions():
    windows = StoriesData(n_ctx=4).batch(seed=0, step=3, batch_size=2, rank=0, world_size=1)
    assert windows.tolist() == STORED_WINDOWS


@pytest.mark.parametrize("seed", [0, 7])
def test_the_held_out_stories_do_not_depend_on_the_seed_of_the_order(seed):
    data = StoriesData(n_ctx=16)
    data.batch(seed=seed, **STEP)
    (first, *_) = data.held_out(batch_size=4, rank=0, world_size=1)
    expected = training_data.stories.stories_windows(0, 0, 256, 16, validation=True)
    assert torch.equal(first, expected[:4])


def replaced(place):
    return PLAY[:place] + ("X" if PLAY[place] != "X" else "Y") + PLAY[place + 1 :]


@pytest.mark.parametrize("place", [0, CUT // 2, CUT - 1, CUT, len(PLAY) - 1])
def test_changing_any_token_of_either_split_changes_the_fingerprint(play, tmp_path, place):
    data = open_data(str(play), "byte", 16)
    play.write_text(replaced(place))
    assert fingerprint(open_data(str(play), "byte", 16)) != fingerprint(data)


def test_the_fingerprint_does_not_depend_on_the_boundaries_of_shards(play, tmp_path):
    folders = [
        made(play, tmp_path / f"out {size}", tokenizer="byte", shard_tokens=size)
        for size in (None, 1000)
    ]
    prints = {fingerprint(open_data(str(folder), None, 16)) for folder in folders}
    assert prints == {fingerprint(open_data(str(play), "byte", 16))}


def test_evaluating_on_less_held_out_text_does_not_change_the_fingerprint(play):
    prints = {
        fingerprint(open_data(str(play), "byte", 16, held_out_tokens=limit))
        for limit in (None, 100)
    }
    assert len(prints) == 1


def test_of_a_long_split_blocks_from_all_over_are_hashed(play, monkeypatch):
    for name, value in (("WHOLE_TOKENS", 100), ("BLOCK_TOKENS", 10), ("BLOCKS", 40)):
        monkeypatch.setattr(training_data, name, value)
    before = fingerprint(open_data(str(play), "byte", 16))
    play.write_text(PLAY.replace("nobody", "anyone"))
    assert fingerprint(open_data(str(play), "byte", 16)) != before
    play.write_text(replaced(len(PLAY) - 1))
    assert fingerprint(open_data(str(play), "byte", 16)) != before


def test_the_stories_have_a_fingerprint_of_text_and_held_out_part(monkeypatch):
    data = StoriesData(n_ctx=16)
    monkeypatch.setattr(training_data, "HELD_OUT_STORY_WINDOWS", 8)
    before = fingerprint(data)
    assert fingerprint(StoriesData(n_ctx=16, seed=1)) != before
    monkeypatch.setattr(training_data, "HELD_OUT_STORY_WINDOWS", 9)
    assert fingerprint(data) != before


def test_a_fingerprint_of_an_earlier_version_is_still_recognised(play):
    data = open_data(str(play), "byte", 16)
    recorded = "b0c4b1d1"
    assert is_same_data(fingerprint(data), data)
    assert is_same_data(RECORDED_EARLIER, data)
    assert not is_same_data(recorded, data)
    assert not is_same_data(None, data)
    play.write_text(PLAY.upper())
    assert not is_same_data(RECORDED_EARLIER, open_data(str(play), "byte", 16))


RECORDED_EARLIER = "156c136991f5ae9c98d2f97db3306adcff806d1a0cb9c5313df2fa71103c1c58"
