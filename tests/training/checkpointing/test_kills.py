"""Test runs and preparations that are killed at random: the same bits at the end.

Each process lives for a random part of an undisturbed one's duration, so that kills hit the start,
steps, evaluations, saves and the last save. The test waits only for the end of processes.
"""

import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from signal import SIGKILL

import pytest
from forked import the_forks
from small_runs import PLAY, files_under, flags, logged, state_at, steps_kept

from gpt2_small.runs.checkpoint_folders import find_checkpoints

STEPS = 24
FINISHED = "has finished shards already"
# Large enough for a save and an evaluation to take a good part of the time.
SHAPE = dict(d_model=48, n_layers=2, n_heads=2, n_ctx=16, dropout=0.1, batch_size=4)
OFTEN = dict(max_steps=STEPS, evaluate_every=4, checkpoint_every=3, keep=2, evaluation_tokens=800)


class Work:
    """A command that is restarted until it is done, and the files that it writes."""

    def __init__(
        self,
        words: Callable[[Path], list[object]],
        outcome: Callable[[Path], object],
        folder: Path,
        progress: Callable[[Path], int] = lambda out: 0,
    ) -> None:
        self.words, self.outcome, self.folder = words, outcome, folder
        self.progress = progress

    def expected(self) -> tuple[object, float]:
        """Return the outcome of an undisturbed process, and the shorter duration of two."""
        seconds = []
        for name in ("whole", "again"):  # the first one also starts the fork server
            begun = time.monotonic()
            fork = the_forks().run(*self.words(self.folder / name))
            assert (fork.code, fork.err) == (0, "")
            seconds.append(time.monotonic() - begun)
        assert self.outcome(self.folder / "again") == self.outcome(self.folder / "whole")
        return self.outcome(self.folder / "whole"), min(seconds)

    def survive(self, kills: int, rng: random.Random) -> None:
        """Kill it this many times, and compare every outcome that it reaches in between."""
        expected, longest = self.expected()
        done = killed = 0
        while killed < kills or not done:
            out = self.folder / f"out-{done}"
            before = self.progress(out)
            fork, until = the_forks().start(*self.words(out)), rng.uniform(0, 0.9 * longest)
            begun = time.monotonic()
            while fork.poll() is None and (killed >= kills or time.monotonic() - begun < until):
                time.sleep(0.001)
            if fork.poll() is None:
                fork.send(SIGKILL)
                fork.wait()
                killed += 1
                assert self.progress(out) >= before, "a checkpoint was lost"
                continue
            # After a kill behind the last write, the next process finds the work complete.
            if FINISHED not in fork.err:
                assert (fork.code, fork.err) == (0, ""), fork.err
            assert self.outcome(out) == expected
            shutil.rmtree(out)
            done += 1


def training(folder: Path) -> Work:
    """Train a small run that evaluates and saves often."""
    text = folder / "play.txt"
    text.write_text(PLAY)

    def words(out: Path) -> list[object]:
        fields = flags(**SHAPE, **OFTEN)
        begin = ["train", "--preset", "characters", "--data", text, "--out", out, "--resume"]
        return [*begin, "--sample-every", 1000, *fields]

    def outcome(out: Path) -> object:
        assert [record["step"] for record in logged(out)] == list(range(1, STEPS + 1))
        return state_at(out, STEPS), logged(out), steps_kept(out)

    def latest(out: Path) -> int:
        return max((checkpoint.step for checkpoint in find_checkpoints(out)), default=0)

    return Work(words, outcome, folder, latest)


def preparing(folder: Path) -> Work:
    """Prepare a text into several shards."""
    text = folder / "play.txt"
    text.write_text(PLAY * 20)

    def words(out: Path) -> list[object]:
        options = ["--tokenizer", "byte", "--shard-tokens", 2000, "--processes", 1]
        return ["prepare", text, "--out", out, *options]

    def outcome(out: Path) -> object:
        return {
            name: content
            for name, content in files_under(out).items()
            if name.endswith((".bin", ".npy", ".json")) and "manifest" not in name
        }

    return Work(words, outcome, folder)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("work", "kills"), [(training, 150), (preparing, 50)])
def test_two_hundred_kills_lose_only_steps_since_the_last_checkpoint(tmp_path, work, kills):
    work(tmp_path).survive(kills, random.Random(kills))
