"""Train small models on tiny Shakespeare, and compare them over seeds."""

import json
import math
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from gpt2_small import binding
from gpt2_small.data.batches import batch_at, evaluation_batches
from gpt2_small.training.step.objective import Objective

FOLDER = Path(__file__).resolve().parent
MEASUREMENTS = "measurements.json"
CPU = torch.device("cpu")
# 97.5 % quantiles of Student's t for 2 to 9 degrees of freedom: 3 to 10 seeds.
STUDENT = (4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)


class Text(NamedTuple):
    """A text by characters: its alphabet, and the ids of the training and held-out split."""

    letters: str
    train: Tensor
    held_out: Tensor

    def encode(self, text: str) -> list[int]:
        return [self.letters.index(letter) for letter in text]

    def decode(self, ids: Sequence[int] | Tensor) -> str:
        return "".join(self.letters[id] for id in ids)


def tiny_shakespeare() -> Text:
    """Return tiny Shakespeare, whose first nine tenths are for training."""
    text = (FOLDER / "tiny_shakespeare.txt").read_text(encoding="utf-8")
    letters = "".join(sorted(set(text)))
    number = {letter: id for id, letter in enumerate(letters)}
    tokens = torch.tensor([number[letter] for letter in text])
    border = len(tokens) * 9 // 10
    return Text(letters, tokens[:border], tokens[border:])


def train(
    model: nn.Module,
    tokens: Tensor,
    *,
    steps: int,
    seed: int,
    n_ctx: int = 64,
    batch_size: int = 12,
    peak: float = 5e-3,
    solution: ModuleType | None = None,
    name: str = "",
) -> list[float]:
    """Train a model in place, and return every step's loss, in nats.

    The recipe is that of the preset `shakespeare-cpu`: AdamW with beta2 0.98 and weight decay 0.1,
    a warm-up of 3 %, then a cosine down to 2 % of the peak. The fast twin computes the loss where
    it can.

    solution: the module whose training functions are used; by default the bound one.
    name: the model's name in a line of progress; without a name there is no line.
    """
    solution = solution or binding.bound()
    objective = Objective(solution, model, CPU)
    groups = solution.parameter_groups(model, weight_decay=0.1)
    records = solution.train(
        objective.module,
        ([batch] for batch in windows(tokens, steps, seed, batch_size, n_ctx)),
        torch.optim.AdamW(groups, lr=peak, betas=(0.9, 0.98)),
        schedule=lambda step: solution.learning_rate(
            step,
            peak=peak,
            warmup_steps=math.ceil(0.03 * steps),
            total_steps=steps,
            final_fraction=0.02,
        ),
        **objective.train_keywords,
    )
    shown = TrainingProgress(name, steps)
    losses = []
    for record in records:
        losses.append(record.loss)
        shown.show(record.step, f"loss {statistics.fmean(losses[-20:]):.3f}")
    return losses


def windows(tokens: Tensor, steps: int, seed: int, batch_size: int, n_ctx: int) -> Iterator[Tensor]:
    """Return the windows [batch seq+1] of every step, drawn with the seed and the step."""
    array = tokens.numpy()
    for step in range(steps):
        yield batch_at(array, seed=seed, step=step, batch_size=batch_size, n_ctx=n_ctx)


@torch.no_grad()
def held_out_loss(model: nn.Module, tokens: Tensor, n_ctx: int = 64) -> float:
    """Return the mean loss of all tokens but the first, in windows of n_ctx, in nats."""
    objective = Objective(binding.bound(), model.eval(), CPU)
    objective.module.eval()
    total = 0.0
    for batch in evaluation_batches(tokens.numpy(), n_ctx=n_ctx, batch_size=64):
        total += objective.loss(objective.module, batch).item() * batch[:, 1:].numel()
    return total / (len(tokens) - 1)


class TrainingProgress:
    """One line on the screen, overwritten: a training's step and loss."""

    def __init__(self, name: str, steps: int) -> None:
        self.name, self.steps = name, steps
        self.started, self.last = time.perf_counter(), 0.0

    def show(self, step: int, words: str) -> None:
        """Write the line, at most five times a second, and at the end."""
        now = time.perf_counter()
        if not self.name or (step < self.steps and now - self.last < 0.2):
            return
        self.last = now
        line = f"\r{self.name:24} {step:>5}/{self.steps}  {words}  {now - self.started:4.0f} s"
        sys.stdout.write(line + "\n" * (step == self.steps))
        sys.stdout.flush()


class Interval(NamedTuple):
    """A mean over seeds, and half the width of its 95 % interval."""

    mean: float
    half: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} ± {self.half:.3f}"

    def is_below(self, other: "Interval") -> bool:
        """Return whether the two intervals do not overlap, and this one is the lower."""
        return self.mean + self.half < other.mean - other.half


def interval(values: Sequence[float]) -> Interval:
    """Return the 95 % interval of the mean of some seeds' values, by Student's t."""
    if len(values) < 3:
        raise ValueError(f"{len(values)} seeds give no interval here; take at least 3")
    quantile = STUDENT[min(len(values) - 3, len(STUDENT) - 1)]
    return Interval(
        statistics.fmean(values), quantile * statistics.stdev(values) / math.sqrt(len(values))
    )


def stored(lesson: str) -> dict[str, list[float]]:
    """Return a lesson's stored measurements: the values of its seeds by name."""
    found: dict[str, list[float]] = json.loads(
        (FOLDER / lesson / MEASUREMENTS).read_text(encoding="utf-8")
    )["values"]
    return found


def draw_intervals(axes: Any, values: Mapping[str, Sequence[float]], label: str) -> None:
    """Draw a row per name: every seed's value as a dot, and the interval of their mean as a bar."""
    axes.use_sticky_edges = False  # leave room beside the bars
    for row, seeds in enumerate(values.values()):
        found = interval(seeds)
        color = f"C{row % 10}"
        axes.barh(row, 2 * found.half, 0.5, found.mean - found.half, color=color, alpha=0.3)
        axes.plot([found.mean] * 2, [row - 0.25, row + 0.25], color=color, linewidth=2)
        axes.plot(seeds, [row] * len(seeds), ".", color=color)
    axes.set_yticks(range(len(values)), list(values))
    axes.invert_yaxis()
    axes.set_xlabel(label)
    axes.grid(axis="x", alpha=0.3)


def smoothed(losses: Sequence[float], width: int = 25) -> list[float]:
    """Return the mean of each loss and the losses before it, up to a given number."""
    return [statistics.fmean(losses[max(0, at - width + 1) : at + 1]) for at in range(len(losses))]
