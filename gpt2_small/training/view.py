"""A run as a person watches it: a live line in a terminal, plain lines elsewhere."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from gpt2_small.training.run import RunRecord

PLAIN_LINES = 10
SMOOTHING = 0.95


class RunView:
    """Shows the records of a run that will have `total_steps` steps."""

    def __init__(self, console: Console, total_steps: int) -> None:
        self.console = console
        self.total_steps = total_steps
        self._started = time.perf_counter()
        self._loss = math.nan
        self._rate = math.nan
        self._progress = Progress(
            SpinnerColumn(),
            MofNCompleteColumn(),
            BarColumn(bar_width=None),
            TextColumn("loss [bold]{task.fields[loss]:.3f}[/]"),
            TextColumn("{task.fields[rate]:,.0f} tokens/s"),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=console,
            expand=True,
            disable=not console.is_terminal,
        )
        self._task: TaskID = self._progress.add_task(
            "training", total=total_steps, loss=math.nan, rate=math.nan
        )

    @contextmanager
    def live(self) -> Iterator["RunView"]:
        """While the context lasts, the line stays at the bottom of the terminal."""
        with self._progress:
            yield self

    def show(self, record: RunRecord) -> None:
        """Bring the line up to date; without a terminal, print a line now and then."""
        self._loss = _smooth(self._loss, record.loss)
        self._rate = _smooth(self._rate, record.tokens_per_second)
        self._progress.update(self._task, completed=record.step, loss=self._loss, rate=self._rate)
        every = max(1, self.total_steps // PLAIN_LINES)
        if not self.console.is_terminal and record.step % every == 0:
            seconds = time.perf_counter() - self._started
            left = seconds / record.step * (self.total_steps - record.step)
            self.console.print(
                f"step {record.step}/{self.total_steps}  loss {self._loss:.3f}  "
                f"{self._rate:,.0f} tokens/s  {left:.0f} s left",
                highlight=False,
            )


def _smooth(average: float, value: float) -> float:
    return value if math.isnan(average) else SMOOTHING * average + (1 - SMOOTHING) * value
