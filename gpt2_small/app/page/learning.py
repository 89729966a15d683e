"""Follow a learner's file and a run's log for the page."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.console import Console

from gpt2_small.checker.learner.watching.watch_screens import about_part
from gpt2_small.checker.learner.watching.watch_state import FileState, Notice
from gpt2_small.checker.learner.watching.watcher import Watch
from gpt2_small.checker.verdict import PartReport
from gpt2_small.errors import UserError
from gpt2_small.files.hashes import stamp
from gpt2_small.runs import read_log
from gpt2_small.runs.log import LOG

Json = dict[str, Any]

TICK = 0.1
WIDTH = 76
LOG_TICK = 1.0
LOG_SHARE = 0.1  # of the time, at most, is spent on reading a log
MOST_POINTS = 2_000


class LearnerFile:
    """A learner's file, checked in a thread after every save."""

    def __init__(self, path: Path, shown_as: str) -> None:
        self.path, self.shown_as = path, shown_as
        self._state: Json | None = None
        self._version = 0
        self._pressed: list[str] = []
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the checking thread, once."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="learner", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Stop the checking thread and its processes."""
        self._end.set()
        if self._thread is not None:
            self._thread.join(timeout=2)

    def press(self, key: str) -> None:
        """Press a key of `watch`: h for a hint, n for the next part."""
        with self._lock:
            self._pressed.append(key)

    async def states(self) -> AsyncIterator[Json]:
        """The current state, and each new state."""
        self.start()
        shown = 0
        while not self._end.is_set():
            with self._lock:
                version, state = self._version, self._state
            if version != shown and state is not None:
                shown = version
                yield state
            await asyncio.sleep(TICK)

    def _run(self) -> None:
        watch = Watch(self.path, self.shown_as, self)
        try:
            while not self._end.wait(TICK):
                with self._lock:
                    pressed = self._pressed.pop(0) if self._pressed else ""
                watch.step(pressed)
        finally:
            watch.stop()

    def tell(self, file_state: FileState, events: Sequence[Notice], busy: bool) -> None:
        """Store the file's state when it has changed."""
        state = state_of(file_state, busy)
        state["news"] = [event.part for event in events if event.kind == "finished"]
        with self._lock:
            if state != self._state:
                self._state = state
                self._version += 1

    def key(self, file_state: FileState, pressed: str) -> None:
        """Ignore other keys, which the page does not have."""


def state_of(file_state: FileState, busy: bool) -> Json:
    """The file's state, as in `watch`, as JSON values."""
    verdict = file_state.verdict()
    parts = []
    for part in file_state.parts:
        results = verdict.of(part)
        report = verdict.reports.get(part, PartReport())
        parts.append(
            {
                "name": part,
                "state": verdict.state_of(part),
                "wrong": sum(result.status == "failed" for result in results),
                "checks": len(results),
                "mistakes": list(report.mistakes),
                "naming": report.naming,
            }
        )
    return {
        "file": file_state.verdict().solution,
        "sha256": verdict.sha256,
        "parts": parts,
        "done": len(file_state.done()),
        "focus": file_state.shown_part(),
        "problem": file_state.problem,
        "advice": "" if file_state.problem else plain(about_part(file_state)),
        "hint": None
        if file_state.hint is None
        else {"title": file_state.hint.title, "text": file_state.hint.text},
        "is_known": file_state.is_known(),
        "is_complete": file_state.complete,
        "is_busy": busy,
    }


def plain(renderable: Any) -> str:
    """Render to plain text, without colours."""
    console = Console(width=WIDTH, color_system=None, force_terminal=False)
    with console.capture() as captured:
        console.print(renderable)
    return "\n".join(line.rstrip() for line in captured.get().rstrip().split("\n"))


async def log_of(folder: Path, end: asyncio.Event) -> AsyncIterator[Json]:
    """The log of a run, reduced to a drawable number of points, again whenever it grows.

    A thread reads it, because a long log takes seconds; the longer, the less often.
    """
    shown: object = "nothing"
    pause = LOG_TICK
    while not end.is_set():
        found = stamp(folder / LOG)
        if found != shown:
            shown, begun = found, time.monotonic()
            state = await asyncio.to_thread(_state_of_log, folder)
            pause = max(LOG_TICK, (time.monotonic() - begun) / LOG_SHARE)
            yield state
        with suppress(TimeoutError):
            await asyncio.wait_for(end.wait(), pause)


def _state_of_log(folder: Path) -> Json:
    try:
        return {"records": thinned(read_log(folder))}
    except UserError as error:
        return {"error": str(error)}


def thinned(records: list[Json]) -> list[Json]:
    """Every n-th record, all with an evaluation, and the last."""
    every = -(-len(records) // MOST_POINTS)
    last = len(records) - 1
    drawn = ("step", "loss", "val_loss", "learning_rate", "grad_norm", "tokens_per_second")
    return [
        {name: record[name] for name in drawn if name in record}
        for number, record in enumerate(records)
        if number % every == 0 or number == last or "val_loss" in record
    ]
