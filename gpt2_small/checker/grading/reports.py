"""Format the grades of a class as CSV and JSON."""

import csv
import io
import json

from gpt2_small import __version__
from gpt2_small.checker.grading.grading import Grading
from gpt2_small.checker.grading.student_rows import (
    GradeRow,
    known,
    mean_points,
    mistake_counts,
    sets_of,
    state_counts,
)
from gpt2_small.checker.report_formats import POINTS
from gpt2_small.checker.sandbox.messages import visible

FORMAT = "gpt2-small-grades/1"
_BEFORE = ("student", "points", "parts")
_AFTER = (
    "mistakes", "unnamed", "reasons", "remarks", "notes", "error", "not_graded", "seconds",
    "sha256", "file", "exercises", "begun_with", "version",
)  # fmt: skip


def as_csv(grading: Grading) -> str:
    """Format one line per student; cells that look like formulas are quoted."""
    text = io.StringIO()
    writer = csv.writer(text)
    parts = list(dict.fromkeys(p for one in sets_of(grading.rows) for p in one.parts))
    writer.writerow([*_BEFORE, *parts, *_AFTER])
    for row in grading.rows:
        is_graded = row.not_graded is None
        cells = [
            row.student,
            row.points if is_graded else "",
            len(row.done) if is_graded else "",
            *(row.states.get(part, "") for part in parts),
            " ".join(row.mistakes),
            " ".join(row.unnamed),
            "; ".join(f"{part}: {reason}" for part, reason in _told(row).items()),
            "; ".join(row.remarks),
            "; ".join(row.notes),
            row.error or "",
            row.not_graded or "",
            round(row.seconds, 1),
            row.sha256 or "",
            row.file,
            row.exercises.name,
            row.begun_with or "",
            __version__,
        ]
        writer.writerow([_no_formula(visible(cell)) for cell in cells])
    return text.getvalue()


def _told(row: GradeRow) -> dict[str, str]:
    """The reasons of the wrong parts."""
    return {part: row.reasons[part] for part, s in row.states.items() if s == "failed"}


def _no_formula(cell: object) -> object:
    if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")):
        return "'" + cell
    return cell


def as_json(grading: Grading) -> str:
    """Format all rows with the seed, as JSON."""
    rows = grading.rows
    content = {
        "format": FORMAT,
        "version": __version__,
        "seed": grading.seed,
        "points": POINTS,
        "mean": mean_points(rows),
        "students": [_student(row) for row in rows],
        "parts": {
            one.name: {part: dict(counts) for part, counts in state_counts(rows, one).items()}
            for one in sets_of(rows)
        },
        "mistakes": [
            {"id": name, "students": count, "component": known(name, rows).component}
            for name, count in mistake_counts(rows)
        ],
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _student(row: GradeRow) -> dict[str, object]:
    return {
        "student": row.student,
        "file": row.file,
        "sha256": row.sha256,
        "exercises": row.exercises.name,
        "begun_with": row.begun_with,
        "points": row.points if row.not_graded is None else None,
        "passed": row.done,
        "states": row.states,
        "mistakes": row.mistakes,
        "unnamed": row.unnamed,
        "reasons": row.reasons,
        "remarks": row.remarks,
        "notes": row.notes,
        "error": row.error,
        "not_graded": row.not_graded,
        "seconds": round(row.seconds, 3),
    }
