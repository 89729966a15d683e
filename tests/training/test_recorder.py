"""Test the order of a step, its checkpoint, evaluation and log line, and interruptions."""

import json
import math
import signal

import pytest
from forked import the_forks, wait_until
from small_runs import ALONE, SMALL, flags, logged, play, state_at, steps_kept, train

from gpt2_small.errors import UserError
from gpt2_small.runs.checkpoint_folders import LAST_CHECKPOINT
from gpt2_small.training.loop import Training
from gpt2_small.training.run_loop import train_run
from gpt2_small.training.session import open_run

pytestmark = pytest.mark.timeout(120)


class Killed(BaseException):
    """An exception that simulates the end of the process."""


def killed_in_evaluation(monkeypatch, step):
    original = Training.evaluate

    def evaluate(training, *arguments):
        if training.step == step:
            raise Killed
        return original(training, *arguments)

    monkeypatch.setattr(Training, "evaluate", evaluate)


@pytest.fixture(scope="module")
def finished(solution, tmp_path_factory):
    """Train an uninterrupted run."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    train(solution, folder, keep=1)
    return folder


def test_a_run_killed_in_its_last_evaluation_has_every_step(
    solution, finished, tmp_path, monkeypatch
):
    run = tmp_path / "run"
    killed_in_evaluation(monkeypatch, step=12)
    with pytest.raises(Killed):
        train(solution, run, keep=1, checkpoint_every=1000)
    assert steps_kept(run) == [12]
    assert state_at(run, 12) == state_at(finished, 12)


@pytest.mark.parametrize("step", [6, 12])
def test_an_interrupted_evaluation_is_repeated_on_resuming(
    solution, finished, tmp_path, monkeypatch, step
):
    run = tmp_path / "run"
    killed_in_evaluation(monkeypatch, step)
    with pytest.raises(Killed):
        train(solution, run, keep=1)
    assert len(logged(run)) == step - 1
    monkeypatch.undo()
    train(solution, run, resume=True)
    assert logged(run) == logged(finished)
    assert steps_kept(run) == steps_kept(finished)


def test_a_resumed_run_keeps_the_best_checkpoint_of_an_uninterrupted_one(
    solution, tmp_path, monkeypatch
):
    def evaluate(training, *_):
        return 1.0 + abs(training.step - 6)

    def interrupted(training, *_):
        if training.step == 6:
            raise Killed
        return evaluate(training)

    monkeypatch.setattr(Training, "evaluate", evaluate)
    settings = {"evaluate_every": 3, "checkpoint_every": 3, "keep": 1}
    train(solution, tmp_path / "original", **settings)
    monkeypatch.setattr(Training, "evaluate", interrupted)
    with pytest.raises(Killed):
        train(solution, tmp_path / "run", **settings)
    monkeypatch.setattr(Training, "evaluate", evaluate)
    train(solution, tmp_path / "run", resume=True)
    assert steps_kept(tmp_path / "run") == steps_kept(tmp_path / "original") == [6, 12]


def test_a_request_to_stop_during_an_evaluation_ends_it_and_loses_no_step(
    solution, finished, tmp_path, monkeypatch
):
    run, asked = tmp_path / "run", []
    changes = {"data": str(play(tmp_path)), "keep": 1, "checkpoint_every": 1000}
    with open_run(solution, run, SMALL, changes, ALONE) as opened:
        for _ in train_run(opened, lambda: bool(asked), asked.append):
            pass
        assert opened.training.step == 6  # the evaluation ends after its first batch
    assert steps_kept(run) == [6]
    assert "val_loss" not in logged(run)[-1]
    train(solution, run, resume=True)
    assert logged(run) == logged(finished)


def test_a_nonfinite_held_out_loss_is_reported_in_one_sentence_with_the_way_out(
    solution, tmp_path, monkeypatch
):
    monkeypatch.setattr(Training, "evaluate", lambda *_: math.nan)
    with pytest.raises(UserError, match=r"the held-out loss after step 6 is nan; .* lower"):
        train(solution, tmp_path / "run")


# Missing checkpoints


@pytest.fixture
def stopped(solution, tmp_path):
    """Train a run that stops after step 7."""
    train(solution, tmp_path / "run", last=7)
    return tmp_path / "run"


@pytest.mark.parametrize("is_link", [False, True], ids=["gone", "a link to nowhere"])
def test_a_run_with_missing_checkpoints_does_not_restart(solution, stopped, is_link):
    aside = stopped.with_name("aside")
    (stopped / "checkpoints").rename(aside)
    if is_link:
        (stopped / "checkpoints").symlink_to(stopped / "unmounted")
    log = (stopped / "log.jsonl").read_bytes()
    with pytest.raises(UserError, match="written a checkpoint of step 7, which cannot be found"):
        train(solution, stopped, resume=True)
    assert (stopped / "log.jsonl").read_bytes() == log
    if is_link:
        (stopped / "checkpoints").unlink()
    aside.rename(stopped / "checkpoints")
    assert train(solution, stopped, resume=True) == ("resuming from step 7",)


def test_a_run_of_the_first_format_with_missing_checkpoints_does_not_restart(solution, stopped):
    (stopped / LAST_CHECKPOINT).unlink()
    (stopped / "checkpoints").rename(stopped.with_name("aside"))
    with pytest.raises(UserError, match="checkpoint of step 3, which cannot be found"):
        train(solution, stopped, resume=True)


def test_a_missing_last_checkpoint_is_reported_and_can_be_abandoned(solution, stopped):
    (stopped / "checkpoints/step-7").rename(stopped.with_name("aside"))
    with pytest.raises(UserError, match=r"the latest there is step 6\); .*or remove .*last_check"):
        train(solution, stopped, resume=True)
    (stopped / LAST_CHECKPOINT).unlink()
    assert train(solution, stopped, resume=True) == ("resuming from step 6",)


# Signals and outputs


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    return play(tmp_path_factory.mktemp("text"))


def slow_evaluation(gate):
    """Make the first evaluation create a file when it begins, and never end."""
    return f"""
import itertools, time
from pathlib import Path
from gpt2_small.training.training_data import TextData

original = TextData.held_out

def endless(data, **keywords):
    gate = Path({str(gate)!r})
    batches = list(original(data, **keywords))
    repeated = batches if gate.exists() else itertools.cycle(batches)
    gate.touch()
    for batch in repeated:
        time.sleep(0.01)
        yield batch

TextData.held_out = endless
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_during_an_evaluation_stops_the_run_at_once_with_a_checkpoint(
    text, tmp_path, number
):
    arguments = ["train", "--preset", "characters", "--data", text, "--out", tmp_path / "run"]
    fork = the_forks().start(*arguments, *flags(), before=slow_evaluation(tmp_path / "gate"))
    wait_until(lambda: (tmp_path / "gate").exists() or fork.poll() is not None)
    fork.send(number)
    assert (fork.wait(), fork.err) == (0, "")
    assert "Stopping after this step; interrupt again to stop at once and lose it." in fork.out
    assert steps_kept(tmp_path / "run")[-1] == 6


def test_sighup_stays_ignored_if_the_parent_ignored_it(text, tmp_path):
    arguments = ["train", "--preset", "characters", "--data", text, "--out", tmp_path / "run"]
    before = "import signal\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
    before += "import os\nfrom gpt2_small.training.loop import Training\n"
    before += "original = Training.advance\n"
    before += "def advance(training, *a):\n    os.kill(os.getpid(), 1)\n"
    before += "    return original(training, *a)\n"
    before += "Training.advance = advance\n"
    fork = the_forks().run(*arguments, *flags(), before=before)
    assert fork.code == 0
    assert steps_kept(tmp_path / "run")[-1] == 12


def test_a_closed_output_pipe_stops_the_run_with_a_checkpoint(text, tmp_path):
    arguments = ["train", "--preset", "characters", "--data", text, "--out", tmp_path / "run"]
    before = "import os\nr, w = os.pipe()\nos.dup2(w, 1)\nos.close(w)\nos.close(r)\n"
    fork = the_forks().run(*arguments, *flags(), before=before)
    assert (fork.code, fork.err) == (0, "")
    assert steps_kept(tmp_path / "run") == [1]
    assert json.loads((tmp_path / "run/log.jsonl").read_text())["step"] == 1


def test_a_text_that_the_terminal_cannot_encode_does_not_stop_a_run(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("你好，世界。\n王冠是圆的。\n" * 200, encoding="utf-8")
    arguments = ["train", "--preset", "characters", "--data", text, "--out", tmp_path / "run"]
    before = "import sys\nsys.stdout.reconfigure(encoding='cp1252', errors='strict')\n"
    fork = the_forks().run(*arguments, *flags(), "--sample-every", 3, before=before)
    assert (fork.code, fork.err) == (0, "")
    assert steps_kept(tmp_path / "run")[-1] == 12
