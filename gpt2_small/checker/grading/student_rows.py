"""Define a student's row of results, and count over the rows of a class."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import mean

from gpt2_small.checker.exercise_set import GPT2, ExerciseSet
from gpt2_small.checker.grading.outside_access import is_grave
from gpt2_small.checker.mistakes.mistake import Mistake
from gpt2_small.checker.report_formats import POINTS
from gpt2_small.checker.verdict import Status, Verdict

# Named students with the same code.
_COPIES = 3


@dataclass
class GradeRow:
    """The result of a student's file.

    states: the state of every part.
    mistakes: ids of the named mistakes, in learning order.
    named: the same, by part.
    unnamed: wrong parts that no known mistake explains.
    reasons: a sentence for each part that failed.
    advice: the student's sentences and source lines for each wrong part.
    remarks: for the instructor, the most important first.
    notes: the remarks of `check`, on what was not judged.
    accesses: what the file accessed while it ran.
    not_graded: why the submission was not graded at all.
    error: why the file could not be run, or not completely.
    code: the code of all parts without names, comments and layout; equal for copies.
    """

    student: str
    file: str = ""
    sha256: str | None = None
    exercises: ExerciseSet = GPT2
    begun_with: str | None = None
    states: dict[str, Status] = field(default_factory=dict)
    mistakes: list[str] = field(default_factory=list)
    named: dict[str, tuple[str, ...]] = field(default_factory=dict)
    unnamed: list[str] = field(default_factory=list)
    reasons: dict[str, str] = field(default_factory=dict)
    advice: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    accesses: list[str] = field(default_factory=list)
    not_graded: str | None = None
    error: str | None = None
    seconds: float = 0.0
    code: str = ""

    @property
    def done(self) -> list[str]:
        return [part for part in self.exercises.parts if self.states.get(part) == "passed"]

    @property
    def points(self) -> float:
        """The share of parts that passed."""
        return round(POINTS * len(self.done) / len(self.exercises.parts), 2)

    def take(self, verdict: Verdict) -> None:
        """Store a verdict in the row."""
        self.error = self.error or verdict.error
        self.notes = list(verdict.remarks)
        self.states = {part: verdict.state_of(part) for part in verdict.parts()}
        for part, state in self.states.items():
            if state == "passed":
                continue
            self.reasons[part] = verdict.reason(part)
            report = verdict.reports.get(part)
            if state != "failed" or report is None:
                continue
            self.mistakes += report.mistakes
            self.named[part] = report.mistakes
            self.advice[part] = report.naming
            if not report.mistakes:
                self.unnamed.append(part)


def mean_points(rows: Iterable[GradeRow]) -> float | None:
    """The mean points over graded rows; None without any."""
    points = [row.points for row in rows if row.not_graded is None]
    return round(mean(points), 2) if points else None


def sets_of(rows: Iterable[GradeRow]) -> list[ExerciseSet]:
    """The exercise sets of the graded rows, each once, the fifteen parts of GPT-2 first."""
    found = {row.exercises.name: row.exercises for row in rows if row.not_graded is None}
    return sorted(found.values() or [GPT2], key=lambda one: (one.name != GPT2.name, one.name))


def state_counts(rows: Sequence[GradeRow], exercises: ExerciseSet) -> dict[str, Counter[str]]:
    """For each part, the number of graded files by state; `not_run` for a file's error."""
    mine = [r for r in rows if r.exercises.name == exercises.name and r.not_graded is None]
    return {
        part: Counter(row.states.get(part, "not_run") for row in mine) for part in exercises.parts
    }


def mistake_counts(rows: Iterable[GradeRow]) -> list[tuple[str, int]]:
    """The number of students by mistake id, the most frequent first."""
    counts = Counter(mistake for row in rows for mistake in set(row.mistakes))
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def known(mistake_id: str, rows: Iterable[GradeRow]) -> Mistake:
    """The mistake with an id, from the exercise set of a row that has it."""
    exercises = next(row.exercises for row in rows if mistake_id in row.mistakes)
    return exercises.find_mistake(mistake_id)


def note_copies(rows: Iterable[GradeRow]) -> None:
    """Add remarks to rows with equal code and at least one passed part."""
    groups: dict[tuple[str, str], list[GradeRow]] = {}
    for row in rows:
        if row.code and row.done:
            groups.setdefault((row.exercises.name, row.code), []).append(row)
    for group in groups.values():
        for row in group:
            others = [other.student for other in group if other is not row]
            if others:
                more = f" and {len(others) - _COPIES} more" if len(others) > _COPIES else ""
                names = ", ".join(others[:_COPIES])
                row.remarks.insert(0, f"the same code as {names}{more}")


def note_other_sets(rows: Sequence[GradeRow]) -> None:
    """Add remarks to rows of another exercise set than most: a file names its own."""
    sets = Counter(row.exercises.name for row in rows if row.not_graded is None)
    most = max(sets, key=lambda name: sets[name], default="")
    for row in rows:
        if row.not_graded is None and row.exercises.name != most:
            name = row.exercises.name
            row.remarks.insert(0, f"judged as {name!r}, which the file names, not as {most!r}")


def sort_remarks(rows: Iterable[GradeRow]) -> None:
    """Sort every row's remarks: alarms, then accesses to a GPT-2 or to others' files."""

    def rank(remark: str) -> int:
        what = remark.partition(" (line ")[0]
        about_helper = what.partition(": ")[2]
        return 0 if remark.startswith("ALARM") else 2 - (is_grave(what) or is_grave(about_helper))

    for row in rows:
        row.remarks.sort(key=rank)
