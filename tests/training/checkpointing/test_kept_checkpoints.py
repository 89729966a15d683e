"""Test the retention of checkpoints, also on a failing disk."""

import json
import os
import resource
import time

import pytest
from small_runs import files_under, flip, play, steps_kept, train
from small_trainings import after, checkpoint_of, record

from gpt2_small.errors import UserError
from gpt2_small.runs import read_log
from gpt2_small.runs.checkpoint_folders import find_checkpoints
from gpt2_small.training import run_loop as kept
from gpt2_small.training.checkpointing import checkpoints as keeping
from gpt2_small.training.checkpointing.checkpoints import (
    CheckpointWriter,
    check_intact,
    discard,
    last_intact_checkpoint,
)
from gpt2_small.training.checkpointing.training_state import capture
from gpt2_small.training.loop import Training


def keep_losses(training, folder, losses, keep):
    """Save a checkpoint with each of these held-out losses, after steps 1, 2 and so on."""
    val_losses = {}
    writer = CheckpointWriter(folder, keep, val_losses)
    folder.mkdir(exist_ok=True)
    for step, loss in enumerate(losses, start=1):
        writer.save(capture(training, record(training, step=step), loss is not None))
        writer.wait()
        if loss is not None:
            val_losses[step] = loss
    writer.prune()
    assert writer.failures == []
    return [checkpoint.step for checkpoint in find_checkpoints(folder)]


@pytest.mark.parametrize(
    ("losses", "keep", "left"),
    [
        ([None] * 5, 2, [4, 5]),
        ([None] * 5, 1, [5]),
        ([3.0, 1.0, 2.0, 2.5, 2.2], 2, [2, 4, 5]),
        ([3.0, 2.0, 1.0], 1, [3]),
        ([1.0, 1.0, 1.0, 1.0], 1, [1, 4]),
        ([None, 2.0, None, None], 1, [2, 4]),
        ([float("nan"), 2.0, 3.0, float("inf")], 1, [2, 4]),
    ],
)
def test_the_last_few_and_the_best_are_kept(new_training, tmp_path, losses, keep, left):
    assert keep_losses(after(new_training(), 1), tmp_path / "run", losses, keep) == left


def test_a_run_keeps_the_checkpoint_of_its_best_evaluation(solution, tmp_path, monkeypatch):
    monkeypatch.setattr(Training, "evaluate", lambda training, *_: 1.0 + abs(training.step - 4))
    train(solution, tmp_path / "run", max_steps=8, evaluate_every=2, checkpoint_every=2, keep=1)
    assert steps_kept(tmp_path / "run") == [4, 8]


def test_discarding_a_checkpoint_is_atomic(new_training, tmp_path, monkeypatch):
    checkpoint = checkpoint_of(after(new_training(), 1), tmp_path / "run")

    class Cut(Exception):
        pass

    def cut(folder, **_):
        if os.path.exists(folder):
            raise Cut

    monkeypatch.setattr(keeping.shutil, "rmtree", cut)
    with pytest.raises(Cut):
        discard(checkpoint.folder)
    assert find_checkpoints(tmp_path / "run") == ()


def test_a_checkpoint_with_any_changed_bit_is_damaged(new_training, tmp_path):
    checkpoint = checkpoint_of(after(new_training(), 1), tmp_path / "run")
    manifest = checkpoint.folder / "manifest.json"
    before = manifest.read_bytes()
    meaning = json.loads(before)
    for place in range(len(before)):
        flip(manifest, place)
        try:
            check_intact(checkpoint)
        except UserError:
            pass
        else:
            assert json.loads(manifest.read_bytes()) == meaning, place
        manifest.write_bytes(before)
    check_intact(checkpoint)


def test_damaged_checkpoints_are_renamed_only_if_an_intact_one_exists(new_training, tmp_path):
    training = new_training()
    for _ in range(2):
        checkpoint = checkpoint_of(after(training, 1), tmp_path / "run")
    flip(checkpoint.folder / "position.json", 3)
    with pytest.raises(UserError, match=r"every checkpoint in .* is damaged"):
        last_intact_checkpoint(tmp_path / "run")
    assert [each.step for each in find_checkpoints(tmp_path / "run")] == [2]


# A disk that fails


def test_a_failed_save_stops_the_run_and_damages_no_earlier_checkpoint(
    solution, tmp_path, monkeypatch
):
    run = tmp_path / "run"
    train(solution, run, last=4)
    before = files_under(run / "checkpoints")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(UserError, match=r"cannot write .*step-6 \(File too large\); nothing"):
            train(solution, run, resume=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert files_under(run / "checkpoints") == before
    assert len(read_log(run)) < 12


def test_a_save_that_fails_for_an_unknown_reason_stops_the_run(solution, tmp_path, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("an unforeseen error")

    monkeypatch.setattr(keeping, "save_checkpoint", broken)
    with pytest.raises(ZeroDivisionError):
        train(solution, tmp_path / "run")
    assert len(read_log(tmp_path / "run")) < 12


def test_after_a_failed_log_write_no_checkpoint_is_saved_without_its_log_lines(
    solution, tmp_path, monkeypatch
):
    run = tmp_path / "run"
    original = kept.append_log

    def full_at_step_4(folder, record):
        if record["step"] == 4:
            with (run / "log.jsonl").open("a") as file:
                file.write('{"step": 4, "lo')
            raise UserError("cannot write log.jsonl (No space left on device); free some space")
        original(folder, record)

    monkeypatch.setattr(kept, "append_log", full_at_step_4)
    with pytest.raises(UserError, match="No space left"):
        train(solution, run)
    assert steps_kept(run) == [3]
    monkeypatch.undo()
    train(solution, run, resume=True)
    assert [record["step"] for record in read_log(run)] == list(range(1, 13))


def test_a_step_does_not_wait_for_its_checkpoint(new_training, tmp_path, monkeypatch):
    begun = []

    def slow(*_):
        begun.append(True)
        while len(begun) < 2:
            time.sleep(0.001)

    monkeypatch.setattr(keeping, "save_checkpoint", slow)
    (tmp_path / "run").mkdir()
    writer = CheckpointWriter(tmp_path / "run", keep=1, val_losses={})
    training = after(new_training(), 1)
    writer.save(capture(training, record(training), False))
    begun.append(True)  # reached because save has returned
    writer.wait()
    assert len(begun) == 2


def test_a_run_whose_folder_cannot_be_created_is_refused_in_one_sentence(solution, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write .*file/run"):
        train(solution, tmp_path / "file" / "run", data=str(play(tmp_path)))
