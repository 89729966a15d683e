"""Show a run's steps: a live line in a terminal, plain lines elsewhere."""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise

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

from gpt2_small.training.loop import Training
from gpt2_small.training.step_record import RunRecord

PLAIN_LINES = 10
SMOOTHING = 0.95
BARS = "▁▂▃▄▅▆▇█"
SPARKLINE_WIDTH = 16


class RunView:
    """Shows the records of a training from its current step on."""

    def __init__(self, console: Console, training: Training) -> None:
        self.console = console
        self.total_steps = training.recipe.max_steps
        self._first, self._started = training.step, time.perf_counter()
        self._peak_share = training.peak_share
        self._loss = self._rate = math.nan
        self._losses: list[float] = []
        self._progress = Progress(
            SpinnerColumn(),
            MofNCompleteColumn(),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[curve]}"),
            TextColumn("{task.fields[loss]}"),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=console,
            expand=True,
            disable=not console.is_terminal,
        )
        self._task: TaskID = self._progress.add_task(
            "training", total=self.total_steps, loss="", speed="", curve=""
        )
        self._progress.update(self._task, completed=training.step)

    @contextmanager
    def live(self) -> Iterator["RunView"]:
        """In this context, the line stays at the bottom of the terminal."""
        with self._progress:
            yield self

    def show(self, record: RunRecord) -> None:
        """Update the live line; without a terminal, print every tenth of the steps."""
        self._loss = _smooth(self._loss, record.loss)
        self._rate = _smooth(self._rate, record.tokens_per_second)
        self._losses.append(self._loss)
        self._progress.update(
            self._task,
            completed=record.step,
            loss=f"loss [bold]{self._loss:.3f}[/]",
            speed=self._speed(),
            curve=sparkline(self._losses, SPARKLINE_WIDTH),
        )
        every = max(1, self.total_steps // PLAIN_LINES)
        if not self.console.is_terminal and record.step % every == 0:
            seconds = time.perf_counter() - self._started
            steps = max(1, record.step - self._first)
            left = seconds / steps * (self.total_steps - record.step)
            self.console.print(
                f"step {record.step}/{self.total_steps}  loss {self._loss:.3f}  "
                f"{self._speed()}  {left:.0f} s left",
                highlight=False,
            )

    def show_evaluation(self, targets: int) -> None:
        """Show in the live line how many held-out targets this process has evaluated."""
        self._progress.update(self._task, speed=f"evaluating, {targets:,} tokens")

    def _speed(self) -> str:
        speed = f"{self._rate:,.0f} tokens/s"
        if self._peak_share is None:
            return speed
        return f"{speed}, {self._rate * self._peak_share:.0%} of peak"


def sparkline(values: Sequence[float], width: int) -> str:
    """Values as a row of at most `width` bars, each the mean of consecutive values.

    The heights are scaled from the lowest mean to the highest.
    """
    count = min(width, len(values))
    edges = [len(values) * place // count for place in range(count + 1)] if count else []
    means = [sum(values[first:last]) / (last - first) for first, last in pairwise(edges)]
    if not all(map(math.isfinite, means)):
        return ""
    low, span = min(means, default=0.0), max(means, default=0.0) - min(means, default=0.0)
    heights = [(mean - low) / span if span else 0.0 for mean in means]
    return "".join(BARS[round(height * (len(BARS) - 1))] for height in heights)


def _smooth(average: float, value: float) -> float:
    return value if math.isnan(average) else SMOOTHING * average + (1 - SMOOTHING) * value
