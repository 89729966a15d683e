"""Test that a resumed run ends with the bits of an uninterrupted one, or is refused."""

import shutil

import pytest
import torch
from default_share import slowly
from resumed_runs import forget_last, stopped_run
from small_runs import files_under, logged, play, state_at, steps_kept, train

from gpt2_small import binding
from gpt2_small.errors import UserError
from gpt2_small.runs import read_run
from gpt2_small.runs.checkpoint_folders import LAST_CHECKPOINT, Checkpoint
from gpt2_small.training.checkpointing import training_state


@pytest.fixture
def learners_file(tmp_path):
    """Write a file other than the reference, which trains without the twin."""
    path = tmp_path / "my_gpt2.py"
    path.write_text(binding.reference_path().read_text() + "\nMINE = True\n")
    return binding.load(path)


@pytest.fixture
def stopped(finished, tmp_path):
    return stopped_run(finished, tmp_path)


# Bit for bit


@pytest.mark.parametrize(
    ("whose", "changes"),
    [
        ("the reference", {}),
        ("the reference", {"dropout": 0.3}),
        slowly(("the reference", {"micro_batch_size": 2})),
        slowly(("the reference", {"dtype": "bfloat16"})),
        ("the reference", {"dropout": 0.3, "micro_batch_size": 2, "dtype": "bfloat16"}),
        ("a learner's file", {}),
        ("a learner's file", {"dropout": 0.3, "micro_batch_size": 2, "dtype": "bfloat16"}),
    ],
    ids=lambda value: value if isinstance(value, str) else ", ".join(value) or "plain",
)
def test_a_run_stopped_twice_ends_with_the_bits_of_an_uninterrupted_one(
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
    """Train a run with dropout that is never stopped."""
    folder = tmp_path_factory.mktemp("random") / "run"
    train(solution, folder, dropout=0.3)
    return folder


def forget_tensors(file, ending):
    def forget(monkeypatch):
        original = Checkpoint.tensors

        def forgetful(checkpoint, name):
            return {
                key: torch.zeros_like(value) if name == file and key.endswith(ending) else value
                for key, value in original(checkpoint, name).items()
            }

        monkeypatch.setattr(Checkpoint, "tensors", forgetful)

    return forget


def forget_random_states(monkeypatch):
    monkeypatch.setattr(training_state, "_restore_generators", lambda *_: None)


def forget_position(monkeypatch):
    monkeypatch.setattr(training_state, "read_position", lambda _: {"step": 8, "tokens": 512})


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
def test_losing_any_part_of_the_state_changes_the_final_hash(
    solution, random, tmp_path, monkeypatch, forget
):
    run = tmp_path / "run"
    shutil.copytree(random, run)
    forget_last(run)
    forget(monkeypatch)
    train(solution, run, resume=True)
    assert state_at(run, 12) != state_at(random, 12)


def test_steps_after_the_last_checkpoint_are_repeated_and_logged_again(solution, stopped, finished):
    assert len(logged(stopped)) == 12
    assert train(solution, stopped, resume=True) == ("resuming from step 9",)
    assert logged(stopped) == logged(finished)
    assert state_at(stopped, 12) == state_at(finished, 12)


def test_a_log_whose_last_line_was_cut_off_has_every_step_once(solution, stopped, finished):
    with (stopped / "log.jsonl").open("ab") as file:
        file.truncate(file.tell() - 20)
    train(solution, stopped, resume=True)
    assert logged(stopped) == logged(finished)


def test_damaged_log_lines_after_the_checkpoint_are_dropped(solution, stopped, finished):
    lines = (stopped / "log.jsonl").read_text().splitlines(keepends=True)
    (stopped / "log.jsonl").write_text("".join(lines[:9]) + "\0\0\0\n{\0\n" + "".join(lines[11:]))
    train(solution, stopped, resume=True)
    assert logged(stopped) == logged(finished)


def test_a_run_without_a_checkpoint_restarts(solution, stopped, finished):
    shutil.rmtree(stopped / "checkpoints")
    (stopped / LAST_CHECKPOINT).unlink()
    (stopped / "log.jsonl").write_text(
        "".join((stopped / "log.jsonl").read_text().splitlines(keepends=True)[:4])
    )
    [remark] = train(solution, stopped, resume=True)
    assert remark == "starting again at step 1: the run has no checkpoint yet"
    assert state_at(stopped, 12) == state_at(finished, 12)
    assert logged(stopped) == logged(finished)


def test_a_finished_run_is_not_changed_by_resuming(solution, finished):
    before = files_under(finished)
    train(solution, finished, resume=True)
    assert files_under(finished) == before


def test_a_resumed_run_may_have_more_steps_and_save_more_often(solution, stopped):
    train(solution, stopped, resume=True, max_steps=15, checkpoint_every=1, keep=3)
    assert [record["step"] for record in logged(stopped)] == list(range(1, 16))
    assert set(range(13, 16)) <= set(steps_kept(stopped))
    assert read_run(stopped).settings["max_steps"] == 15


def test_a_run_resumes_with_moved_data(solution, stopped, finished, tmp_path):
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


# Other settings or data


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
def test_other_settings_are_refused_with_both_values_and_no_file_is_changed(
    solution, stopped, name, before, now
):
    files = files_under(stopped)
    with pytest.raises(UserError, match=f"was started with {name} = {before}, not {now}; leave"):
        train(solution, stopped, resume=True, **{name: now})
    assert files_under(stopped) == files


def test_other_data_is_refused_and_no_file_is_changed(solution, stopped, tmp_path):
    other = tmp_path / "other.txt"
    other.write_text(play(tmp_path).read_text().replace("crown", "clown"))
    files = files_under(stopped)
    with pytest.raises(UserError, match=r"other\.txt is not the data that .*run was started with"):
        train(solution, stopped, resume=True, data=str(other))
    assert files_under(stopped) == files


def test_a_run_with_checkpoints_does_not_restart_without_resume(solution, stopped):
    files = files_under(stopped)
    with pytest.raises(
        UserError, match="holds a run with checkpoints up to step 9; resume it with"
    ):
        train(solution, stopped)
    assert files_under(stopped) == files


def test_fewer_steps_than_a_run_already_has_are_refused(solution, tmp_path):
    train(solution, tmp_path / "run")
    before = files_under(tmp_path / "run")
    with pytest.raises(UserError, match=r"--max-steps is 6, but the run in .* is at step 12"):
        train(solution, tmp_path / "run", resume=True, max_steps=6)
    assert files_under(tmp_path / "run") == before
