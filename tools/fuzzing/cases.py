"""Run a command line in a folder, and describe what was wrong with its end."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from forked import Fork, the_forks

LIMIT = 60.0
INTERRUPT_AFTER, AGAIN_AFTER = 15.0, 3.0
EXPECTED_CODES = {0, 1, 2, 130, 128 + signal.SIGINT, -signal.SIGINT}
NOT_OURS = ("Traceback (most recent call last)", "Segmentation fault", "panicked at")


@dataclass(frozen=True)
class Case:
    """A command line to run in a folder, and the seed that made it."""

    arguments: list[str]
    folder: Path
    about: str


def start(case: Case) -> Fork:
    """Start a case without waiting for it."""
    cache = {"XDG_CACHE_HOME": str(case.folder / ".cache"), "HF_HUB_OFFLINE": "1"}
    before = f"import os\nos.chdir({str(case.folder)!r})\nos.environ.update({cache!r})\n"
    return the_forks().start(*case.arguments, before=before)


def failure_of(
    case: Case, patience: float = 1.0, interrupt_after: float = INTERRUPT_AFTER
) -> str | None:
    """Run a case to its end, and describe what was wrong; None if nothing.

    patience: factor of the time limit. interrupt_after: seconds until an interrupt, which
    a second one follows soon.
    """
    fork, begun, interrupts = start(case), time.monotonic(), 0
    while fork.poll() is None:
        taken = time.monotonic() - begun
        if taken > LIMIT * patience:
            os.killpg(fork.pid, signal.SIGKILL)
            fork.wait()
            return f"did not end within {LIMIT * patience:g} seconds"
        if taken > interrupt_after + interrupts * AGAIN_AFTER and interrupts < 2:
            fork.send(signal.SIGINT)
            interrupts += 1
        time.sleep(0.01)
    said = fork.err + fork.out
    if any(sign in said for sign in NOT_OURS):
        return f"exit code {fork.code}, {said.strip().splitlines()[-1][:200]}"
    if fork.code not in EXPECTED_CODES:
        return f"exit code {fork.code}, {said[-200:]}"
    if fork.code == 2 and not fork.err.strip():
        return "exit code 2 without a sentence"
    return None
