"""Test the run's folder: leftovers of crashes, its lock, and no pickles."""

import json
import pickle
import shutil

import pytest
import torch
from filelock import FileLock
from resumed_runs import finished_run, stopped_run
from small_runs import files_under, state_at, steps_kept, train

from gpt2_small.errors import UserError
from gpt2_small.runs import load_model
from gpt2_small.training.session import LOCK


@pytest.fixture(scope="module")
def finished(solution, tmp_path_factory):
    return finished_run(solution, tmp_path_factory.mktemp("finished"))


@pytest.fixture
def stopped(finished, tmp_path):
    return stopped_run(finished, tmp_path)


def test_only_leftovers_of_crashes_are_removed(solution, stopped):
    left = [
        stopped / "checkpoints/.step-12.unfinished/model.safetensors",
        stopped / "checkpoints/.step-3.discarded/model.safetensors",
        stopped / "checkpoints/.step-9.replaced/model.safetensors",
        stopped / ".log.jsonl.ab12_x9z",
        stopped / ".config.json.k2j3h4g5",
        stopped / ".tokenizer.json.abcdefgh",
    ]
    others = [
        stopped / "checkpoints/step-3.damaged/model.safetensors",
        stopped / "checkpoints/notes.txt",
        stopped / ".config.json.swp",
    ]
    for path in left + others:
        path.parent.mkdir(exist_ok=True)
        path.write_text("half")
    train(solution, stopped, resume=True, last=10)
    assert not any(path.exists() for path in left)
    assert all(path.exists() for path in others)
    assert not (stopped / "checkpoints/.step-12.unfinished").exists()


def test_leftovers_are_removed_when_a_run_restarts(solution, stopped):
    shutil.rmtree(stopped / "checkpoints")
    left = stopped / "checkpoints/.step-7.unfinished"
    left.mkdir(parents=True)
    train(solution, stopped, last=1)
    assert not left.exists()


def test_a_checkpoint_is_restored_after_a_crash_during_its_replacement(solution, stopped, finished):
    (stopped / "checkpoints/step-9").rename(stopped / "checkpoints/.step-9.replaced")
    assert train(solution, stopped, resume=True) == ("resuming from step 9",)
    assert state_at(stopped, 12) == state_at(finished, 12)


def test_a_second_process_on_the_same_folder_is_refused(solution, stopped, monkeypatch):
    files = files_under(stopped)
    lock = FileLock(stopped / LOCK)
    with lock, pytest.raises(UserError, match="run is in use by another process; wait for it"):
        train(solution, stopped, resume=True)
    assert files_under(stopped) == files


def test_the_lock_is_released_after_a_run_and_after_an_error(solution, stopped):
    with pytest.raises(UserError):
        train(solution, stopped)
    train(solution, stopped, resume=True, last=10)
    train(solution, stopped, resume=True)
    assert steps_kept(stopped)[-1] == 12


def refuse(*_, **__):
    raise AssertionError("something was pickled")


def test_saving_and_resuming_use_no_pickle(solution, tmp_path, monkeypatch):
    for module, names in (
        (pickle, ("load", "loads", "dump", "dumps", "Unpickler", "Pickler")),
        (torch, ("load", "save")),
    ):
        for name in names:
            monkeypatch.setattr(module, name, refuse)
    train(solution, tmp_path / "run", last=5)
    train(solution, tmp_path / "run", resume=True)
    assert steps_kept(tmp_path / "run")[-1] == 12


def test_a_checkpoint_contains_only_safetensors_and_json(finished):
    for path in (finished / "checkpoints/step-12").iterdir():
        if path.suffix == ".json":
            json.loads(path.read_text())
        else:
            header = int.from_bytes(path.read_bytes()[:8], "little")
            assert json.loads(path.read_bytes()[8 : 8 + header])


def test_a_saved_run_can_be_loaded_for_generation(finished):
    assert load_model(finished).config.d_model == 16
