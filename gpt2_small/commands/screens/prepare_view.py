"""Show the progress of a preparation: a live line in a terminal, plain lines elsewhere."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from gpt2_small.data.prepare import SAVE_SECONDS, PrepareProgress
from gpt2_small.data.prepare_options import in_bytes
from gpt2_small.data.unfinished_folder import INDEX
from gpt2_small.errors import counted, printable

SECONDS_BETWEEN_LINES = 30.0
SECONDS_UNSHOWN = 1.0
STAGES = {"vocabulary": "making the tokenizer", "hashes": "hashing the shards"}
SHOWN_STAGES = (*STAGES, "tokens")


class PrepareView:
    """Show the steps of a preparation of `text` in `folder`."""

    def __init__(
        self,
        text: str,
        folder: Path,
        *,
        console: Console | None = None,
        seconds_between_lines: float = SECONDS_BETWEEN_LINES,
    ) -> None:
        self.text, self.folder = text, folder
        self.console = console or Console(highlight=False)
        self._every = seconds_between_lines
        self._first: PrepareProgress | None = None
        self._last: PrepareProgress | None = None
        self._remarks: list[str] = []
        self._started = self._printed_at = time.perf_counter()
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TimeRemainingColumn(),
            TextColumn("{task.fields[left]}"),
            console=self.console,
            expand=True,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self._task = self._progress.add_task(
            escape(f"opening {printable(text)}"), total=None, left=""
        )

    @contextmanager
    def live(self) -> Iterator[None]:
        """Show a live line at the bottom of the terminal."""
        with self._progress:
            yield

    def begin(self) -> None:
        """Show the line until `end`."""
        self._progress.start()

    def end(self) -> None:
        """Remove the line."""
        self._progress.stop()

    def show(self, step: PrepareProgress) -> None:
        """Update the line; without a terminal, print a line at intervals."""
        now = time.perf_counter()
        for remark in step.remarks:
            if remark not in self._remarks:
                self._remarks.append(remark)
                wraps = self.console.is_terminal
                self.console.print(remark, soft_wrap=not wraps, markup=False)
        if step.stage == "tokens" and self._first is None:
            self._first, self._started = step, now
            if step.tokens:
                self.console.print(f"Resuming after {step.tokens:,} tokens.", soft_wrap=True)
        self._last = step
        line = STAGES.get(step.stage) or self._line(step, now - self._started)
        fraction = step.fraction
        self._progress.update(
            self._task,
            description=line,
            total=None if fraction is None else 1.0,
            completed=fraction or 0.0,
            left="" if fraction is None else "left",
        )
        if not self.console.is_terminal and now - self._printed_at >= self._every:
            self._printed_at = now
            self.console.print(line + self._left(step, now - self._started), soft_wrap=True)

    def interrupted(self) -> None:
        """Print the command that resumes."""
        done = f" after {self._last.tokens:,} tokens" if self._last and self._last.tokens else ""
        self.console.print(
            f"Interrupted{done}. The same command resumes; at most {SAVE_SECONDS:.0f} seconds of "
            f"work are lost. To start again, remove {printable(self.folder)}.",
            soft_wrap=True,
            markup=False,
        )

    def finished(self) -> None:
        """Print the written files."""
        index: dict[str, Any] = json.loads((self.folder / INDEX).read_text(encoding="utf-8"))
        seconds = time.perf_counter() - self._started
        tokenizer = index["tokenizer"]
        self.console.print(
            f"Wrote {printable(self.folder)}: {index['dtype']} tokens of {tokenizer['name']} "
            f"(vocabulary {tokenizer['vocab_size']:,}) in {seconds:.0f} s",
            soft_wrap=True,
            markup=False,
        )
        for split, what in (("train", "training"), ("val", "validation")):
            part = index["splits"][split]
            files = [shard["file"] for shard in part["shards"]]
            listed = files[0] if len(files) == 1 else f"{files[0]} to {files[-1]}"
            size = in_bytes(sum(shard["bytes"] for shard in part["shards"]))
            self.console.print(
                f"  {what:<10}  {part['tokens']:,} tokens, "
                f"{counted(part['documents'], 'document')}, {size} in {listed}",
                soft_wrap=True,
                markup=False,
            )

    def _line(self, step: PrepareProgress, seconds: float) -> str:
        before = self._first.tokens if self._first else 0
        rate = (step.tokens - before) / seconds if seconds > 0 else 0.0
        documents = counted(step.documents, "document")
        return f"{documents}  {in_bytes(step.bytes)}  {_short(rate)} tokens/s"

    def _left(self, step: PrepareProgress, seconds: float) -> str:
        first_fraction = self._first.fraction if self._first else None
        if step.stage != "tokens" or step.fraction is None or first_fraction is None:
            return ""
        done = step.fraction - first_fraction
        if done <= 0:
            return ""
        left = seconds / done * (1 - step.fraction)
        return f"  {step.fraction:.0%}  {left:,.0f} s left"


class PrepareProgressLater:
    """Show the progress of a preparation inside another command, after a delay.

    A thread updates it, because reading a large text or learning a tokenizer reports no steps.

    after: the delay in seconds.
    """

    def __init__(self, console: Console, text: str, after: float = SECONDS_UNSHOWN) -> None:
        self.console, self.text, self.after = console, text, after
        self._view: PrepareView | None = None
        self._timer: threading.Timer | None = None
        self._lock = threading.Lock()

    def show(self, step: PrepareProgress) -> None:
        """Update the display; remove it when the text is prepared."""
        with self._lock:
            if step.stage == "done":
                self._end()
            elif self._timer is None:
                self._timer = threading.Timer(self.after, self._begin)
                self._timer.daemon = True
                self._timer.start()
            if self._view is not None and step.stage in SHOWN_STAGES:
                self._view.show(replace(step, remarks=()))

    def _begin(self) -> None:
        with self._lock:
            if self._timer is None:
                return
            self._view = PrepareView(self.text, Path(), console=self.console)
            self._view.begin()
            if not self.console.is_terminal:
                self.console.print(f"Preparing {printable(self.text)}", markup=False)

    def _end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._view is not None:
            self._view.end()
        self._timer = self._view = None


def _short(number: float) -> str:
    """A readable number of tokens: 4.52M."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= 0.9995 * size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.0f}"
