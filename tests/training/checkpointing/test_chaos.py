"""Test a run that is killed repeatedly, damaged, and out of disk space: its results are unchanged.

The processes are forked from one that has loaded everything (forked.py): fifty starts of
Python would take longer than all their training. Kills are `kill -9`, which no process can handle.
The moments come from a seeded generator, but the place where a kill hits also depends on the
machine; so the test inspects the disk and counts the kills during saves.
"""

import random
import re
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from forked import Fork, the_forks, wait_until
from injected_programs import block_before_step
from small_runs import files_under, flags, flip, logged, play, state_at, steps_kept

pytestmark = pytest.mark.timeout(600)

# Large enough for a save to take many times as long as listing the folder.
SHAPE = dict(d_model=64, n_layers=2, n_heads=2, n_ctx=16, dropout=0.1)
OFTEN = dict(batch_size=4, micro_batch_size=2, evaluate_every=10, checkpoint_every=4, keep=3)
LONGEST_LIFE_STEPS = 12
LONGEST_START_SECONDS = 0.6
SAVE_SECONDS = 0.02
SMALL_FILE = 50_000  # bytes; the weights need more, the log of these runs does not


@dataclass
class Chaos:
    """A run in a folder, with functions that kill and damage it."""

    run: Path
    text: Path
    steps: int
    random: random.Random
    gate: Path
    kills: int = 0
    inside_saves: int = 0
    damaged: list[str] = field(default_factory=list)

    def start(self, **how: object) -> Fork:
        """Start a process that begins or resumes the run, and blocks shortly before its end."""
        before = block_before_step(self.steps - 1, self.gate)
        return the_forks().start(*self.arguments(), before=before, **how)

    def arguments(self) -> list[object]:
        fields = flags(max_steps=self.steps, **SHAPE, **OFTEN)
        words = ["train", "--preset", "characters", "--data", self.text, "--out", self.run]
        return [*words, "--resume", "--sample-every", "100000", *fields]

    def logged_steps(self) -> int:
        log = self.run / "log.jsonl"
        return log.read_bytes().count(b"\n") if log.exists() else 0

    def kept(self) -> list[int]:
        """Return the steps of its checkpoints; none before the run exists."""
        return steps_kept(self.run) if (self.run / "config.json").exists() else []

    def half_done(self) -> list[str]:
        """Return the unfinished folders of a checkpoint being saved or discarded."""
        found = (self.run / "checkpoints").glob(".step-*") if self.run.exists() else ()
        return [path.name for path in found]

    def kill(self) -> None:
        """Start a process and kill it at a random moment: in a save, in a step, at its start."""
        process, begun = self.start(), time.monotonic()
        for path in self.half_done():  # left by the last kill; the new process removes it
            wait_until(lambda path=path: path not in self.half_done() or process.poll() is not None)
        moment = self.random.choice(["a save", "a save", "a step", "the start"])
        steps = self.random.randint(1, LONGEST_LIFE_STEPS)
        until = begun + self.random.uniform(0, LONGEST_START_SECONDS)
        first = max(self.kept(), default=0)

        def has_come() -> bool:
            made = self.logged_steps()
            if process.poll() is not None or made >= self.steps - 2:
                return True
            if moment == "a save":
                return bool(self.half_done())
            if moment == "a step":
                return made >= first + steps
            return time.monotonic() > until

        wait_until(has_come, every=0.0002)
        time.sleep(self.random.uniform(0, SAVE_SECONDS))
        assert process.poll() is None, process.err
        process.send(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        self.kills += 1
        self.inside_saves += bool(self.half_done())

    def live(self, steps: int) -> None:
        """Start a process and kill it after some steps."""
        process, before = self.start(), self.logged_steps()
        wait_until(lambda: self.logged_steps() >= min(before + steps, self.steps - 2))
        wait_until(lambda: not self.half_done())
        process.send(signal.SIGKILL)
        process.wait()
        self.kills += 1

    def damage(self) -> None:
        """Flip a random bit in the latest checkpoint; an earlier one exists."""
        while len(self.kept()) < 2:
            self.live(8)
        latest = self.run / f"checkpoints/step-{self.kept()[-1]}"
        path = self.random.choice([path for path in latest.iterdir() if path.suffix != ".json"])
        flip(path, self.random.randrange(path.stat().st_size), self.random.randrange(8))
        self.damaged.append(latest.name)

    def fill_the_disk(self) -> None:
        """Let a process fail to save on a full disk: it reports this, and damages no checkpoint."""
        while not self.kept():
            self.kill()
        before = self.whole_files()
        process = self.start(largest_file=SMALL_FILE)
        assert process.wait() == 2
        assert re.fullmatch(r"error: cannot write .*\(File too large\); nothing.*\n", process.err)
        assert before <= self.whole_files()

    def whole_files(self) -> set[bytes]:
        """Return the checkpoints' files, also of those set aside; unfinished ones left out."""
        files = files_under(self.run / "checkpoints")
        return {content for path, content in files.items() if not path.startswith(".")}

    def end(self) -> None:
        """Let the run reach its end."""
        self.gate.touch()
        process = self.start()
        assert (process.wait(), process.err) == (0, "")


def survived(folder: Path, *, steps: int, kills: int, damages: int, seed: int) -> Chaos:
    """Return a run that ended after kills and damage; assert it equals an undisturbed one."""
    text = play(folder)
    uninterrupted = Chaos(folder / "whole", text, steps, random.Random(seed), folder / "open")
    uninterrupted.end()
    chaos = Chaos(folder / "run", text, steps, random.Random(seed), folder / "gate")
    for part in range(damages + 1):
        while chaos.kills < kills * (part + 1) // (damages + 1):
            chaos.kill()
        if part < damages:
            chaos.damage()
    chaos.fill_the_disk()
    chaos.end()
    assert state_at(chaos.run, steps) == state_at(uninterrupted.run, steps)
    assert logged(chaos.run) == logged(uninterrupted.run)
    assert [record["step"] for record in logged(chaos.run)] == list(range(1, steps + 1))
    return chaos


def test_a_run_survives_some_kills_a_damaged_checkpoint_and_a_full_disk(tmp_path):
    chaos = survived(tmp_path, steps=50, kills=3, damages=1, seed=1)
    assert chaos.kills >= 3
    assert len(chaos.damaged) == 1


@pytest.mark.slow
def test_a_run_survives_fifty_kills_three_damaged_checkpoints_and_a_full_disk(tmp_path):
    chaos = survived(tmp_path, steps=400, kills=60, damages=3, seed=2)
    assert chaos.kills >= 50
    assert chaos.inside_saves >= chaos.kills / 3
    assert len(chaos.damaged) == 3
