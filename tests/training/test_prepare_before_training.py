"""Test the preparation before training: its display, and Ctrl-C."""

import io
import signal
import threading
from dataclasses import replace

import pytest
from forked import the_forks, wait_until
from rich.console import Console
from small_runs import ALONE, SMALL, flags, play, steps_kept, train

from gpt2_small import binding
from gpt2_small.commands.screens.prepare_view import PrepareProgressLater
from gpt2_small.data.prepare import PrepareProgress
from gpt2_small.entry_point import INTERRUPTED
from gpt2_small.training.checkpointing import initial_weights
from gpt2_small.training.display.overview import print_plan
from gpt2_small.training.session import open_run

OPENING, DONE = PrepareProgress(stage="opening"), PrepareProgress(stage="done")
TOKENS = PrepareProgress(stage="tokens", documents=3, tokens=50, bytes=70, total_bytes=140)


def console(is_terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=is_terminal, width=80)


def printed(shown: Console) -> str:
    assert isinstance(shown.file, io.StringIO)
    return shown.file.getvalue()


def test_a_quick_preparation_prints_nothing():
    shown = console(is_terminal=False)
    beside = PrepareProgressLater(shown, "play.txt", after=3600)
    for step in (OPENING, TOKENS, DONE):
        beside.show(step)
    assert printed(shown) == ""
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):  # a cancelled timer ends at once
            thread.join(timeout=60)
            assert not thread.is_alive()


def test_a_longer_preparation_is_announced_before_its_first_step():
    shown = console(is_terminal=False)
    beside = PrepareProgressLater(shown, "play.txt", after=0)
    beside.show(OPENING)
    wait_until(lambda: "Preparing play.txt" in printed(shown))
    beside.show(DONE)


def test_a_terminal_shows_progress_and_clears_it_at_the_end():
    shown = console(is_terminal=True)
    beside = PrepareProgressLater(shown, "play.txt", after=0)
    beside.show(OPENING)
    wait_until(lambda: "opening play.txt" in printed(shown))
    beside.show(TOKENS)
    wait_until(lambda: "3 documents" in printed(shown))
    beside.show(DONE)
    length = len(printed(shown))
    beside.show(DONE)
    assert len(printed(shown)) == length


def test_a_run_reports_the_preparation_of_its_text_and_its_end(tmp_path, monkeypatch):
    monkeypatch.setenv("GPT2_SMALL_SHARDS", str(tmp_path / "shards"))  # an empty cache
    stages = []
    changes = {"data": str(play(tmp_path))}
    with open_run(
        binding.bound(),
        tmp_path / "run",
        SMALL,
        changes,
        ALONE,
        progress=lambda step: stages.append(step.stage),
    ):
        pass
    assert stages[0] == "opening"
    assert {"vocabulary", "tokens", "hashes"} <= set(stages)
    assert stages[-1] == "done"


SLOW_READING = """
from gpt2_small.data import cached_shards

open_corpus = cached_shards.open_corpus

def slow(name, **options):
    print("reading", flush=True)
    import time
    time.sleep(3600)

cached_shards.open_corpus = slow
"""


def test_ctrl_c_while_a_text_is_prepared_ends_train_with_one_sentence(tmp_path):
    words = ["train", "--preset", "characters", "--data", play(tmp_path), *flags()]
    fork = the_forks().start(*words, "--out", tmp_path / "run", before=SLOW_READING)
    wait_until(lambda: "reading" in fork.out or fork.poll() is not None)
    wait_until(lambda: "Preparing" in fork.out or fork.poll() is not None)
    fork.send(signal.SIGINT)
    assert fork.wait() == INTERRUPTED
    assert "play.txt; the same command resumes it." in fork.err
    assert "Traceback" not in fork.err
    assert not (tmp_path / "run").exists()


@pytest.fixture
def begun(tmp_path, monkeypatch):
    """Return a new run whose files cause a remark."""
    train(binding.bound(), tmp_path / "first", last=3)
    opened = initial_weights.open_model

    def open_model(name, **how):
        return replace(opened(name, **how), remarks=("a remark about [first]",))

    monkeypatch.setattr(initial_weights, "open_model", open_model)
    return tmp_path / "first"


def test_remarks_about_a_runs_initial_weights_are_stored_and_printed(tmp_path, begun):
    changes = {"data": str(tmp_path / "play.txt"), "init_from": str(begun)}
    settings = replace(SMALL, model={})
    with open_run(binding.bound(), tmp_path / "run", settings, changes, ALONE) as run:
        assert "a remark about [first]" in run.remarks
        shown = console(is_terminal=False)
        print_plan(run, shown, "Training")
        assert "a remark about [first]" in printed(shown)
    assert steps_kept(tmp_path / "run") == []
