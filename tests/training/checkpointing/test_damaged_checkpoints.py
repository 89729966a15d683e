"""Test damaged checkpoints: they are reported and renamed, and the one before resumes."""

import pytest
from resumed_runs import stopped_run
from small_runs import files_under, flip, logged, state_at, train

from gpt2_small.errors import UserError
from gpt2_small.runs import read_run
from gpt2_small.training.checkpointing.checkpoints import last_intact_checkpoint

FILES = ("model.safetensors", "optimizer.safetensors", "random.safetensors", "position.json")


@pytest.fixture
def stopped(finished, tmp_path):
    return stopped_run(finished, tmp_path)


def flip_first(path):
    flip(path, 0)


def flip_in_the_middle(path):
    flip(path, path.stat().st_size // 2)


def flip_last(path):
    # The lowest bit of the last byte; the last byte of a JSON file may be any white space.
    flip(path, path.stat().st_size - 2)


def cut_off(path):
    path.write_bytes(path.read_bytes()[:-1])


def empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [flip_first, flip_in_the_middle, flip_last, cut_off, empty])
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_checkpoint_is_refused_by_name_and_the_one_before_it_used(stopped, name, damage):
    damage(stopped / "checkpoints/step-9" / name)
    checkpoint, [remark] = last_intact_checkpoint(stopped)
    assert checkpoint.step == 6
    assert f"step-9/{name} was changed after it was written" in remark
    assert "checkpoint 9 was renamed step-9.damaged" in remark
    assert (stopped / "checkpoints/step-9.damaged" / name).exists()


@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
def test_a_checkpoint_without_one_of_its_files_is_refused_by_name(stopped, name):
    (stopped / "checkpoints/step-9" / name).unlink()
    checkpoint, [remark] = last_intact_checkpoint(stopped)
    assert checkpoint.step == 6
    assert f"step-9/{name}" in remark


def test_a_run_with_two_damaged_checkpoints_ends_with_the_same_bits(solution, stopped, finished):
    flip_first(stopped / "checkpoints/step-9/optimizer.safetensors")
    (stopped / "checkpoints/step-6/manifest.json").unlink()
    *remarks, from_where = train(solution, stopped, resume=True)
    assert (len(remarks), from_where) == (2, "resuming from step 3")
    assert state_at(stopped, 12) == state_at(finished, 12)
    assert logged(stopped) == logged(finished)


def test_when_every_checkpoint_is_damaged_the_run_is_refused_and_unchanged(solution, stopped):
    for step in (3, 6, 9):
        flip_in_the_middle(stopped / f"checkpoints/step-{step}/model.safetensors")
    files = files_under(stopped)
    with pytest.raises(
        UserError, match=r"is damaged, the latest because .*step-9/model.*; or begin a new run"
    ):
        train(solution, stopped, resume=True)
    assert files_under(stopped) == files


def test_a_checkpoint_under_another_steps_name_is_not_used(solution, stopped, finished):
    (stopped / "checkpoints/step-9").rename(stopped / "checkpoints/step-11")
    remark, from_where = train(solution, stopped, resume=True)
    assert "step-11 holds the state after step 9" in remark
    assert from_where == "resuming from step 6"
    assert state_at(stopped, 12) == state_at(finished, 12)


def test_a_damaged_config_is_refused_in_one_sentence(solution, stopped):
    config = stopped / "config.json"
    config.write_text(config.read_text()[:200])
    with pytest.raises(UserError, match=r"config\.json is damaged"):
        train(solution, stopped, resume=True)


def test_a_tokenizer_lost_in_a_crash_is_written_again_on_resuming(solution, stopped):
    (stopped / "tokenizer.json").unlink()
    train(solution, stopped, resume=True)
    assert read_run(stopped).load_tokenizer().decode([0]) == "\n"
