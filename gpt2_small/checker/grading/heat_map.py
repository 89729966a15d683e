"""Plot a class as a heat map: parts by results and mistakes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gpt2_small.checker.exercise_set import ExerciseSet
from gpt2_small.checker.grading.student_rows import GradeRow, mistake_counts, sets_of, state_counts
from gpt2_small.errors import UserError
from gpt2_small.files.atomic import atomic_file
from gpt2_small.files.report_files import PICTURE_TITLE

# Columns for a part's most frequent mistakes; the others share one.
_RANKS = 3
_SUFFIXES = (".png", ".pdf", ".svg")
_LONGEST = 24
# The cells of the first columns; mistakes follow.
_STATES = (("right", "passed"), ("not written", "not_written"))

Cell = tuple[int, str]


def writable(path: Path) -> None:
    """Raise UserError for an unsupported image format."""
    if path.suffix.lower() not in _SUFFIXES:
        raise UserError(f"{path} is not the name of a picture; end it in {', '.join(_SUFFIXES)}")


def write(path: Path, rows: Sequence[GradeRow]) -> None:
    """Plot the class to a file, atomically, with a panel for each exercise set.

    Raises UserError if the file cannot be written.
    """
    from matplotlib.figure import Figure

    sets = sets_of(rows)
    lines = [len(one.parts) + 2 for one in sets]
    figure = Figure(figsize=(13, 0.5 * sum(lines) + 0.5), dpi=110, layout="constrained")
    panels = figure.subplots(len(sets), 1, squeeze=False, height_ratios=lines)[:, 0]
    for panel, exercises in zip(panels, sets, strict=True):
        _draw(panel, rows, exercises)
    with atomic_file(path) as aside:
        format_ = path.suffix[1:].lower()
        figure.savefig(aside, format=format_, metadata={"Title": PICTURE_TITLE})


def cells(rows: Sequence[GradeRow], exercises: ExerciseSet) -> dict[str, list[Cell]]:
    """For each part, the counts of students by state and by mistake, frequent ones first."""
    counts = state_counts(rows, exercises)
    mine = [row for row in rows if row.exercises.name == exercises.name]
    found = {}
    for part in exercises.parts:
        here = [GradeRow("", mistakes=list(row.named.get(part, ()))) for row in mine]
        ranked = mistake_counts(here)
        others = sum(any(m in row.mistakes for m, _ in ranked[_RANKS:]) for row in here)
        first: list[Cell] = [(count, name) for name, count in ranked[:_RANKS]]
        first += [(0, "")] * (_RANKS - len(first))
        unknown = sum(part in row.unnamed for row in mine)
        unjudged = counts[part]["waiting"] + counts[part]["not_run"]
        states: list[Cell] = [(counts[part][state], "") for _, state in _STATES]
        found[part] = [*states, *first, (others, ""), (unknown, ""), (unjudged, "")]
    return found


def _titles() -> list[str]:
    ranks = [f"mistake {number}" for number in range(1, _RANKS + 1)]
    return [*(title for title, _ in _STATES), *ranks, "other known", "unknown", "not judged"]


def _draw(panel: Any, rows: Sequence[GradeRow], exercises: ExerciseSet) -> None:
    """Draw an exercise set: a row per part, counts as shades."""
    table, titles = cells(rows, exercises), _titles()
    students = sum(row.not_graded is None and row.exercises.name == exercises.name for row in rows)
    for y, line in enumerate(table.values()):
        for x, (count, name) in enumerate(line):
            share = count / max(students, 1)
            colour = "#2f855a" if x == 0 else "#8a8a8a" if titles[x][:3] == "not" else "#c53030"
            panel.add_patch(_square(x, y, colour, share))
            if count:
                text = f"{count}  {_short(name)}" if name else str(count)
                ink = "white" if share > 0.6 else "#222222"
                panel.text(
                    x + 0.5, y + 0.5, text, ha="center", va="center", fontsize=7.5, color=ink
                )
    panel.set(xlim=(0, len(titles)), ylim=(len(table), 0))
    panel.set_xticks([x + 0.5 for x in range(len(titles))], titles)
    panel.set_yticks([y + 0.5 for y in range(len(table))], list(table))
    panel.xaxis.tick_top()
    panel.tick_params(length=0)
    panel.spines[:].set_visible(False)
    panel.set_title(f"{exercises.name}: {students} graded, students per cell", loc="left")


def _square(x: int, y: int, colour: str, share: float) -> Any:
    from matplotlib.colors import to_rgb
    from matplotlib.patches import Rectangle

    strength = 0.0 if share == 0 else 0.12 + 0.88 * share
    shade = tuple(1 - strength * (1 - channel) for channel in to_rgb(colour))
    return Rectangle((x, y), 1, 1, facecolor=shade, edgecolor="#dddddd", linewidth=0.6)


def _short(name: str) -> str:
    """A mistake's id in a cell's width, on two lines if long."""
    if len(name) <= _LONGEST - 6:
        return name
    words, lines = name.split("-"), [""]
    for word in words:
        joined = f"{lines[-1]}-{word}" if lines[-1] else word
        if len(joined) > _LONGEST - 4:
            lines[-1] += "-"
            lines.append(word)
        else:
            lines[-1] = joined
    return "\n".join(lines[:2]) + ("…" if len(lines) > 2 else "")
