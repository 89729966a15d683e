"""Format the grades of a class: a table, remarks, counts by part and by mistake."""

from collections import Counter
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gpt2_small.checker.grading.grading import Grading
from gpt2_small.checker.grading.student_rows import (
    GradeRow,
    known,
    mean_points,
    mistake_counts,
    sets_of,
    state_counts,
)

_MOST_MISTAKES = 10
# Characters of a remark in a row.
_REMARK = 56
# Characters of a student's name in the table and before a remark, and of a reason in the table.
_NAME, _SHORT_NAME, _REASON = 72, 36, 200


def on_screen(grading: Grading) -> RenderableType:
    """The screen's sections without empty ones."""
    rows = grading.rows
    graded = [row for row in rows if row.not_graded is None]
    missing = [row for row in rows if row.not_graded is not None]
    return Group(
        _grades(graded),
        *_section("Not graded", [_about(row, str(row.not_graded)) for row in missing]),
        *_section("To look at", [_about(row, _first(row)) for row in rows if row.remarks]),
        *_section("Beside the verdicts", [_about(row, n) for row in rows for n in row.notes]),
        *_section("Parts", _parts(rows)),
        *_section("Mistakes of the class", _mistakes(rows)),
    )


def _grades(rows: Sequence[GradeRow]) -> RenderableType:
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False)
    table.add_column("student", max_width=24, overflow="fold")
    table.add_column("points", justify="right")
    table.add_column("parts", justify="right")
    table.add_column("mistakes", overflow="fold")
    for row in rows:
        style = "green" if len(row.done) == len(row.exercises.parts) else ""
        points = f"{row.points:g}"
        table.add_row(clean(row.student), Text(points, style), str(len(row.done)), what_of(row))
    mean = mean_points(rows)
    if mean is not None:
        table.add_row(Text("mean", "bold"), Text(f"{mean:g}", "bold"), "", f"of {len(rows)} graded")
    return table


def what_of(row: GradeRow) -> Text:
    """A row's error, or its mistakes, in a few words."""
    if row.error is not None:
        return Text(_one_line(row.error), style="red")
    return Text(", ".join([*row.mistakes, *_reasons(row)]))


def _reasons(row: GradeRow) -> list[str]:
    """The reasons of the parts without a known mistake, equal ones once."""
    groups: dict[str, list[str]] = {}
    for part in row.unnamed:
        why = _one_line(row.reasons.get(part, "wrong"))
        groups.setdefault(why.partition(": ")[2] or why, []).append(f"{part}: {_cut(why, _REASON)}")
    more = {1: "", 2: " (and 1 more part)"}
    return [
        said[0] + more.get(len(said), f" (and {len(said) - 1} more parts)")
        for said in groups.values()
    ]


def _about(row: GradeRow, sentence: str) -> Text:
    """One line about a student, truncated to the screen's width."""
    name = clean(row.student, _SHORT_NAME).plain
    line = Text(f"{name}: {_one_line(sentence)}", overflow="ellipsis")
    line.no_wrap = True
    if sentence.startswith("ALARM"):
        line.stylize("bold red")
    return line


def _first(row: GradeRow) -> str:
    """The most important remark, and the number of others, which the reports list."""
    more = len(row.remarks) - 1
    first = row.remarks[0]
    room = _REMARK if more == 0 else _REMARK - 10
    return f"{_cut(first, room)} (+{more} more)" if more else _cut(first, room)


def _parts(rows: Sequence[GradeRow]) -> list[RenderableType]:
    """The numbers of right, wrong and unwritten files by part."""
    grid = Table(box=None, padding=(0, 2, 0, 0), show_edge=False)
    for title in ("part", "right", "wrong", "not written", "not judged"):
        grid.add_column(title, justify="left" if title == "part" else "right")
    for exercises in sets_of(rows):
        for part, counts in state_counts(rows, exercises).items():
            grid.add_row(part, *map(str, _cells(counts)))
    return [grid] if any(row.not_graded is None for row in rows) else []


def _cells(counts: Counter[str]) -> list[int]:
    unjudged = counts["waiting"] + counts["not_run"]
    return [counts["passed"], counts["failed"], counts["not_written"], unjudged]


def _mistakes(rows: Sequence[GradeRow]) -> list[RenderableType]:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(justify="right", min_width=4)
    for name, count in mistake_counts(rows)[:_MOST_MISTAKES]:
        mistake = known(name, rows)
        grid.add_row(str(count), Text(f"{name}: {mistake.component} {mistake.sentence}"))
    return [grid] if grid.rows else []


def _section(title: str, lines: Sequence[RenderableType]) -> list[RenderableType]:
    return ["", Text(title, style="bold"), *lines] if lines else []


def clean(name: str, most: int = _NAME) -> Text:
    """A student's name without terminal control characters, and of at most this length."""
    return Text(_cut(_one_line(name), most))


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))
