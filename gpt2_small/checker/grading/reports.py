"""The grades of a class: a table for the screen, CSV and JSON for other programs."""

import csv
import io
import json
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gpt2_small.checker.grading.submissions import Grading, Row, mistake_counts
from gpt2_small.checker.mistakes import mistake
from gpt2_small.checker.parts import PARTS
from gpt2_small.checker.report_formats import POINTS

FORMAT = "gpt2-small-grades/1"
_BEFORE = ("student", "points", "parts")
_AFTER = ("mistakes", "unnamed", "reasons", "remarks", "error", "seconds", "sha256", "file")
_MOST_MISTAKES = 10


def as_csv(grading: Grading) -> str:
    """One line a student; cells that a spreadsheet would take for a formula are quoted."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([*_BEFORE, *PARTS, *_AFTER])
    for row in grading.rows:
        cells = [
            row.student,
            row.points,
            len(row.done),
            *(row.states.get(part, "") for part in PARTS),
            " ".join(row.mistakes),
            " ".join(row.unnamed),
            "; ".join(f"{part}: {reason}" for part, reason in row.reasons.items()),
            "; ".join(row.remarks),
            row.error or "",
            round(row.seconds, 1),
            row.sha256 or "",
            row.file,
        ]
        writer.writerow([_no_formula(cell) for cell in cells])
    return text.getvalue()


def _no_formula(cell: object) -> object:
    if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")):
        return "'" + cell
    return cell


def as_json(grading: Grading) -> str:
    """All that is known, with the seed that repeats it."""
    content = {
        "format": FORMAT,
        "seed": grading.seed,
        "points": POINTS,
        "students": [_student(row) for row in grading.rows],
        "mistakes": [
            {"id": name, "students": count, "component": mistake.find(name).component}
            for name, count in mistake_counts(grading.rows)
        ],
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _student(row: Row) -> dict[str, object]:
    return {
        "student": row.student,
        "file": row.file,
        "sha256": row.sha256,
        "points": row.points,
        "passed": row.done,
        "states": row.states,
        "mistakes": row.mistakes,
        "unnamed": row.unnamed,
        "reasons": row.reasons,
        "remarks": row.remarks,
        "error": row.error,
        "seconds": round(row.seconds, 3),
    }


def on_screen(grading: Grading) -> RenderableType:
    """A row for each student, then what to look at, then the mistakes of the class."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False)
    table.add_column("student", max_width=24, overflow="ellipsis", no_wrap=True)
    table.add_column("points", justify="right")
    table.add_column("parts", justify="right")
    table.add_column("mistakes", overflow="fold")
    for row in grading.rows:
        style = "green" if len(row.done) == len(PARTS) else ""
        points = f"{row.points:g}"
        table.add_row(clean(row.student), Text(points, style), str(len(row.done)), what_of(row))
    remarks = [
        Text(f"{clean(row.student).plain}: {remark}")
        for row in grading.rows
        for remark in map(_one_line, row.remarks)
    ]
    return Group(
        table,
        *_section("To look at", remarks),
        *_section("Mistakes of the class", _class_mistakes(grading.rows)),
    )


def what_of(row: Row) -> Text:
    """A row's error, or its mistakes, in a few words."""
    if row.error is not None:
        return Text(_one_line(row.error), style="red")
    unnamed = (f"{part}: {_one_line(row.reasons.get(part, 'wrong'))}" for part in row.unnamed)
    words = [*row.mistakes, *unnamed]
    return Text(", ".join(words))


def _class_mistakes(rows: Sequence[Row]) -> list[RenderableType]:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(justify="right", min_width=4)
    for name, count in mistake_counts(rows)[:_MOST_MISTAKES]:
        known = mistake.find(name)
        grid.add_row(str(count), Text(f"{name}: {known.component} {known.sentence}"))
    return [grid] if grid.rows else []


def _section(title: str, lines: Sequence[RenderableType]) -> list[RenderableType]:
    return ["", Text(title, style="bold"), *lines] if lines else []


def clean(name: str) -> Text:
    """A name from a student's hand, without what could steer a terminal."""
    return Text(_one_line(name))


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))
