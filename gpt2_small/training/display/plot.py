"""Draw the loss curve of a run."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullLocator

from gpt2_small.files.atomic import atomic_file
from gpt2_small.training.choice_scores import ACC, ACC_NORM

INK, ACCENT = "#222222", "#1f6feb"
# The top of the axis over the highest reference line; the first steps' losses above it are cut off.
ABOVE_A_GUESS = 1.2
LABELLED = (1, 1.5, 2, 3, 4, 5, 6, 8)
REFERENCE_COLOURS = ("#8a8a8a", "#b7791f", "#2f855a")


def save_loss_curve(
    path: Path,
    log: Sequence[Mapping[str, Any]],
    *,
    title: str,
    reference_lines: Mapping[str, float],
    chance: float | None = None,
) -> None:
    """Draw a run's training and validation loss over its steps into a PNG, written atomically.

    log: the run's records, with `step`, `loss` and, at evaluations, `val_loss`. Scores on
        multiple-choice questions are drawn in a second panel.
    reference_lines: reference losses, in nats, by name.
    chance: accuracy of a random guess at the questions.

    Losses that are missing or not finite are left out, and a curve without one from the legend.

    Raises UserError when the picture cannot be written.
    """
    figure = Figure(figsize=(8, 4.8), dpi=150, layout="constrained")
    answered = [record for record in log if record.get(ACC) is not None]
    axes, below = _panels(figure, has_choices=bool(answered))
    if below is not None:
        _draw_choices(below, answered, chance)
    _draw_losses(axes, log, reference_lines)
    if any(each.get_legend_handles_labels()[0] for each in figure.axes):
        figure.legend(loc="outside lower right", ncols=2, frameon=False)
    axes.set_title(title, parse_math=False, loc="left", color=INK)
    (axes if below is None else below).set_xlabel("step")
    _format_losses(axes, reference_lines)
    with atomic_file(path) as aside:
        figure.savefig(aside, format="png")


def _draw_losses(
    axes: Any, log: Sequence[Mapping[str, Any]], reference_lines: Mapping[str, float]
) -> None:
    """Draw both losses over the steps, and a line for each reference loss."""
    _draw_curve(axes, log, "loss", label="training batch", color=ACCENT, alpha=0.35, linewidth=1)
    points: dict[str, Any] = {"color": ACCENT, "linewidth": 2, "marker": "o", "markersize": 3.5}
    evaluated = _draw_curve(axes, log, "val_loss", label="held-out text", **points)
    last = log[-1]["step"] if log else 1
    reached = evaluated[-1] if evaluated else math.inf
    for (name, loss), colour in zip(reference_lines.items(), REFERENCE_COLOURS, strict=False):
        axes.axhline(loss, color=colour, linestyle="--", linewidth=1)
        axes.annotate(
            f"{name} {loss:.3f}",
            (last, loss),
            xytext=(0, 3 if reached < loss else -4),
            textcoords="offset points",
            ha="right",
            va="bottom" if reached < loss else "top",
            color=colour,
        )


def _draw_curve(
    axes: Any, log: Sequence[Mapping[str, Any]], field: str, *, times: float = 1, **style: Any
) -> list[float]:
    """Draw a field of the log over the steps, if it has a finite value; gives its values."""
    given = [(record["step"], record.get(field)) for record in log]
    known = [(step, times * y) for step, y in given if y is not None and math.isfinite(y)]
    if known:
        axes.plot(*zip(*known, strict=True), **style)
    return [value for _, value in known]


def _format_losses(axes: Any, reference_lines: Mapping[str, float]) -> None:
    """Scale and label the axis of the losses, which is logarithmic."""
    axes.set_ylabel("loss, nats per token")
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=LABELLED))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FormatStrFormatter("%g"))
    if reference_lines:
        axes.set_ylim(top=min(axes.get_ylim()[1], ABOVE_A_GUESS * max(reference_lines.values())))
    axes.margins(x=0.01)
    axes.grid(alpha=0.15)
    axes.spines[["top", "right"]].set_visible(False)


def _panels(figure: Figure, *, has_choices: bool) -> tuple[Any, Any]:
    """The axes of the losses, and below them those of the accuracies, or None."""
    if not has_choices:
        return figure.add_subplot(), None
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    return axes, below


def _draw_choices(axes: Any, answered: Sequence[Mapping[str, Any]], chance: float | None) -> None:
    """Draw the accuracies on multiple-choice questions, in percent, over the steps."""
    for name, label, colour in (
        (ACC, "choices, acc", REFERENCE_COLOURS[1]),
        (ACC_NORM, "choices, acc_norm", REFERENCE_COLOURS[2]),
    ):
        style: dict[str, Any] = {"color": colour, "marker": "o", "markersize": 3.5, "label": label}
        _draw_curve(axes, answered, name, times=100, **style)
    if chance is not None:
        axes.axhline(100 * chance, color=REFERENCE_COLOURS[0], linestyle="--", linewidth=1)
    axes.set_ylabel("right, %")
    axes.grid(alpha=0.15)
    axes.spines[["top", "right"]].set_visible(False)
