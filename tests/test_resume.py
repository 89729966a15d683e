"""A run that goes on: bit for bit the run that never stopped, or one sentence."""

import json
import pickle
import shutil

import pytest
import torch
from filelock import FileLock
from small_runs import files_under, flip, logged, play, state_at, steps_kept, train

from gpt2_small import binding
from gpt2_small.errors import UserError
from gpt2_small.runs import load_model, read_run
from gpt2_small.runs.checkpoint_folders import LAST_CHECKPOINT, Checkpoint, note_checkpoint
from gpt2_small.training import state
from gpt2_small.training.checkpoints import last_whole_checkpoint
from gpt2_small.training.session import LOCK

FILES = ("model.safetensors", "optimizer.safetensors", "random.safetensors", "position.json")


@pytest.fixture
def learners_file(tmp_path):
    """A file that is not the reference, so that it trains as it is written."""
    path = tmp_path / "my_gpt2.py"
    path.write_text(binding.reference_path().read_text() + "\nMINE = True\n")
    return binding.load(path)


@pytest.fixture(scope="module")
def finished(solution, tmp_path_factory):
    """A run that was never stopped, with checkpoints after steps 3, 6, 9 and 12."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    train(solution, folder, keep=4)
    return folder


def forget_last(folder):
    """Leave a run as it was before its last checkpoint, of step 12, was written."""
    shutil.rmtree(folder / "checkpoints/step-12")
    note_checkpoint(folder, 9)


@pytest.fixture
def stopped(finished, tmp_path):
    """What a run leaves that ends without a word after step 9, before its next checkpoint."""
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    forget_last(folder)
    return folder


# Going on without a break


@pytest.mark.parametrize(
    ("whose", "changes"),
    [
        ("the reference", {}),
        ("the reference", {"dropout": 0.3}),
        ("the reference", {"micro_batch_size": 2}),
        ("the reference", {"dtype": "bfloat16"}),
        ("the reference", {"dropout": 0.3, "micro_batch_size": 2, "dtype": "bfloat16"}),
        ("a learner's file", {}),
        ("a learner's file", {"dropout": 0.3, "micro_batch_size": 2, "dtype": "bfloat16"}),
    ],
    ids=lambda value: value if isinstance(value, str) else ", ".join(value) or "plain",
)
def test_a_run_that_is_stopped_twice_ends_with_every_bit_of_one_that_was_not(
    solution, learners_file, tmp_path, whose, changes
):
    file = solution if whose == "the reference" else learners_file
    train(file, tmp_path / "whole", **changes)
    train(file, tmp_path / "parts", last=2, **changes)
    train(file, tmp_path / "parts", last=7, resume=True)
    train(file, tmp_path / "parts", resume=True)
    assert state_at(tmp_path / "parts", 12) == state_at(tmp_path / "whole", 12)
    assert logged(tmp_path / "parts") == logged(tmp_path / "whole")


@pytest.fixture(scope="module")
def random(solution, tmp_path_factory):
    """A run with dropout that was never stopped."""
    folder = tmp_path_factory.mktemp("random") / "run"
    train(solution, folder, dropout=0.3)
    return folder


def forget_tensors(file, ending):
    def forget(monkeypatch):
        whole = Checkpoint.tensors

        def forgetful(checkpoint, name):
            return {
                key: torch.zeros_like(value) if name == file and key.endswith(ending) else value
                for key, value in whole(checkpoint, name).items()
            }

        monkeypatch.setattr(Checkpoint, "tensors", forgetful)

    return forget


def forget_random_states(monkeypatch):
    monkeypatch.setattr(state, "_restore_generators", lambda *_: None)


def forget_position(monkeypatch):
    monkeypatch.setattr(state, "read_position", lambda _: {"step": 8, "tokens": 512})


@pytest.mark.parametrize(
    "forget",
    [
        forget_tensors("model.safetensors", "ln1.b"),
        forget_tensors("optimizer.safetensors", "mlp.W_in/exp_avg"),
        forget_tensors("optimizer.safetensors", "mlp.W_in/exp_avg_sq"),
        forget_tensors("optimizer.safetensors", "ln_final.w/step"),
        forget_random_states,
        forget_position,
    ],
    ids=["a weight", "a moment", "a square", "a count", "randomness", "the position"],
)
def test_a_run_that_forgot_anything_would_end_with_another_hash(
    solution, random, tmp_path, monkeypatch, forget
):
    run = tmp_path / "run"
    shutil.copytree(random, run)
    forget_last(run)
    forget(monkeypatch)
    train(solution, run, resume=True)
    assert state_at(run, 12) != state_at(random, 12)


def test_steps_after_the_last_checkpoint_are_made_and_logged_again(solution, stopped, finished):
    assert len(logged(stopped)) == 12
    assert train(solution, stopped, resume=True) == ("resuming from step 9",)
    assert logged(stopped) == logged(finished)
    assert state_at(stopped, 12) == state_at(finished, 12)


def test_a_log_whose_last_line_was_cut_off_has_every_step_once(solution, stopped, finished):
    with (stopped / "log.jsonl").open("ab") as file:
        file.truncate(file.tell() - 20)
    train(solution, stopped, resume=True)
    assert logged(stopped) == logged(finished)


def test_what_a_lost_machine_left_in_the_log_after_the_checkpoint_is_dropped(
    solution, stopped, finished
):
    lines = (stopped / "log.jsonl").read_text().splitlines(keepends=True)
    (stopped / "log.jsonl").write_text("".join(lines[:9]) + "\0\0\0\n{\0\n" + "".join(lines[11:]))
    train(solution, stopped, resume=True)
    assert logged(stopped) == logged(finished)


def test_a_run_without_a_checkpoint_begins_again(solution, stopped, finished):
    shutil.rmtree(stopped / "checkpoints")
    (stopped / LAST_CHECKPOINT).unlink()
    (stopped / "log.jsonl").write_text(
        "".join((stopped / "log.jsonl").read_text().splitlines(keepends=True)[:4])
    )
    [remark] = train(solution, stopped, resume=True)
    assert remark == "starting again at step 1: the run has no checkpoint yet"
    assert state_at(stopped, 12) == state_at(finished, 12)
    assert logged(stopped) == logged(finished)


def test_a_run_that_is_at_its_end_is_left_as_it_is(solution, finished):
    before = files_under(finished)
    train(solution, finished, resume=True)
    assert files_under(finished) == before


def test_a_run_may_go_on_for_longer_and_keep_more_often(solution, stopped):
    train(solution, stopped, resume=True, max_steps=15, checkpoint_every=1, keep=3)
    assert [record["step"] for record in logged(stopped)] == list(range(1, 16))
    assert set(range(13, 16)) <= set(steps_kept(stopped))
    assert read_run(stopped).settings["max_steps"] == 15


def test_the_data_may_have_moved(solution, stopped, finished, tmp_path):
    moved = tmp_path / "moved.txt"
    play(tmp_path).rename(moved)
    train(solution, stopped, resume=True, data=str(moved))
    assert state_at(stopped, 12) == state_at(finished, 12)


def test_a_learners_file_that_has_changed_since_is_reported_and_used(learners_file, tmp_path):
    train(learners_file, tmp_path / "run", last=4)
    before = (tmp_path / "run/solution.py").read_bytes()
    file = binding.solution_path(learners_file)
    file.write_text(file.read_text() + "# better\n")
    remarks = train(binding.load(file), tmp_path / "run", resume=True)
    assert any("the solution has changed since this run began" in remark for remark in remarks)
    assert steps_kept(tmp_path / "run")[-1] == 12
    assert (tmp_path / "run/solution.py").read_bytes() == file.read_bytes()
    [kept] = (tmp_path / "run").glob("solution-*.py")
    assert kept.read_bytes() == before


# Another run


@pytest.mark.parametrize(
    ("name", "before", "now"),
    [
        ("learning_rate", 0.01, 0.02),
        ("batch_size", 4, 8),
        ("seed", 0, 1),
        ("dtype", "float32", "bfloat16"),
        ("max_grad_norm", 1.0, 2.0),
        ("d_model", 16, 32),
        ("dropout", 0.0, 0.1),
        ("init_from", None, "gpt2"),
        ("tokenizer", None, "byte"),
    ],
)
def test_other_settings_are_refused_with_both_values_and_nothing_is_touched(
    solution, stopped, name, before, now
):
    files = files_under(stopped)
    with pytest.raises(UserError, match=f"was started with {name} = {before}, not {now}; leave"):
        train(solution, stopped, resume=True, **{name: now})
    assert files_under(stopped) == files


def test_other_data_is_refused_and_nothing_is_touched(solution, stopped, tmp_path):
    other = tmp_path / "other.txt"
    other.write_text(play(tmp_path).read_text().replace("crown", "clown"))
    files = files_under(stopped)
    with pytest.raises(UserError, match=r"other\.txt is not the data that .*run was started with"):
        train(solution, stopped, resume=True, data=str(other))
    assert files_under(stopped) == files


def test_a_run_that_has_checkpoints_is_not_begun_again_unasked(solution, stopped):
    files = files_under(stopped)
    with pytest.raises(UserError, match="holds a run with checkpoints up to step 9; go on with"):
        train(solution, stopped)
    assert files_under(stopped) == files


# Damage


def flip_first(path):
    flip(path, 0)


def flip_in_the_middle(path):
    flip(path, path.stat().st_size // 2)


def flip_last(path):
    # The last bit of the last byte: of a JSON file, whose last byte may be any white space.
    flip(path, path.stat().st_size - 2)


def cut_off(path):
    path.write_bytes(path.read_bytes()[:-1])


def empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [flip_first, flip_in_the_middle, flip_last, cut_off, empty])
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_checkpoint_is_refused_by_name_and_the_one_before_it_used(stopped, name, damage):
    damage(stopped / "checkpoints/step-9" / name)
    checkpoint, [remark] = last_whole_checkpoint(stopped)
    assert checkpoint.step == 6
    assert f"step-9/{name} is not what was written" in remark
    assert "checkpoint 9 was renamed step-9.damaged" in remark
    assert (stopped / "checkpoints/step-9.damaged" / name).exists()


@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
def test_a_checkpoint_without_one_of_its_files_is_refused_by_name(stopped, name):
    (stopped / "checkpoints/step-9" / name).unlink()
    checkpoint, [remark] = last_whole_checkpoint(stopped)
    assert checkpoint.step == 6
    assert f"step-9/{name}" in remark


def test_a_run_with_two_damaged_checkpoints_ends_with_every_bit_of_one_without(
    solution, stopped, finished
):
    flip_first(stopped / "checkpoints/step-9/optimizer.safetensors")
    (stopped / "checkpoints/step-6/manifest.json").unlink()
    *remarks, from_where = train(solution, stopped, resume=True)
    assert (len(remarks), from_where) == (2, "resuming from step 3")
    assert state_at(stopped, 12) == state_at(finished, 12)
    assert logged(stopped) == logged(finished)


def test_when_every_checkpoint_is_damaged_it_is_said_and_nothing_is_touched(solution, stopped):
    for step in (3, 6, 9):
        flip_in_the_middle(stopped / f"checkpoints/step-{step}/model.safetensors")
    files = files_under(stopped)
    with pytest.raises(
        UserError, match=r"is damaged, the latest so: .*step-9/model.*; or begin a new run"
    ):
        train(solution, stopped, resume=True)
    assert files_under(stopped) == files


def test_a_checkpoint_under_another_steps_name_is_not_used(solution, stopped, finished):
    (stopped / "checkpoints/step-9").rename(stopped / "checkpoints/step-11")
    remark, from_where = train(solution, stopped, resume=True)
    assert "step-11 holds the state after step 9" in remark
    assert from_where == "resuming from step 6"
    assert state_at(stopped, 12) == state_at(finished, 12)


def test_a_config_that_is_damaged_is_one_sentence(solution, stopped):
    config = stopped / "config.json"
    config.write_text(config.read_text()[:200])
    with pytest.raises(UserError, match=r"config\.json is damaged"):
        train(solution, stopped, resume=True)


def test_a_tokenizer_that_a_crash_kept_from_being_written_is_there_after_going_on(
    solution, stopped
):
    (stopped / "tokenizer.json").unlink()
    train(solution, stopped, resume=True)
    assert read_run(stopped).load_tokenizer().decode([0]) == "\n"


# What crashes leave, and who else is there


def test_leftovers_of_crashes_are_swept_and_other_files_are_not(solution, stopped):
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


def test_leftovers_are_swept_when_a_run_begins_anew_too(solution, stopped):
    shutil.rmtree(stopped / "checkpoints")
    left = stopped / "checkpoints/.step-7.unfinished"
    left.mkdir(parents=True)
    train(solution, stopped, last=1)
    assert not left.exists()


def test_a_checkpoint_that_was_being_replaced_is_there_again(solution, stopped, finished):
    (stopped / "checkpoints/step-9").rename(stopped / "checkpoints/.step-9.replaced")
    assert train(solution, stopped, resume=True) == ("resuming from step 9",)
    assert state_at(stopped, 12) == state_at(finished, 12)


def test_a_second_process_on_the_same_folder_is_turned_away(solution, stopped, monkeypatch):
    files = files_under(stopped)
    lock = FileLock(stopped / LOCK)
    with lock, pytest.raises(UserError, match="run is in use by another process; wait for it"):
        train(solution, stopped, resume=True)
    assert files_under(stopped) == files


def test_the_folder_is_free_again_after_a_run_and_after_a_mistake(solution, stopped):
    with pytest.raises(UserError):
        train(solution, stopped)
    train(solution, stopped, resume=True, last=10)
    train(solution, stopped, resume=True)
    assert steps_kept(stopped)[-1] == 12


def refuse(*_, **__):
    raise AssertionError("something was pickled")


def test_nothing_is_pickled_to_save_or_to_go_on(solution, tmp_path, monkeypatch):
    for module, names in (
        (pickle, ("load", "loads", "dump", "dumps", "Unpickler", "Pickler")),
        (torch, ("load", "save")),
    ):
        for name in names:
            monkeypatch.setattr(module, name, refuse)
    train(solution, tmp_path / "run", last=5)
    train(solution, tmp_path / "run", resume=True)
    assert steps_kept(tmp_path / "run")[-1] == 12


def test_every_file_of_a_checkpoint_is_tensors_or_json(finished):
    for path in (finished / "checkpoints/step-12").iterdir():
        if path.suffix == ".json":
            json.loads(path.read_text())
        else:
            header = int.from_bytes(path.read_bytes()[:8], "little")
            assert json.loads(path.read_bytes()[8 : 8 + header])


def test_a_kept_run_can_be_loaded_to_generate(finished):
    assert load_model(finished).config.d_model == 16


def test_a_run_is_not_asked_to_end_before_where_it_stands(solution, tmp_path):
    train(solution, tmp_path / "run")
    before = files_under(tmp_path / "run")
    with pytest.raises(UserError, match=r"--max-steps is 6, but the run in .* is at step 12"):
        train(solution, tmp_path / "run", resume=True, max_steps=6)
    assert files_under(tmp_path / "run") == before
