"""Check the files of a class, one row a student."""

import ast
import hashlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue

from gpt2_small import binding
from gpt2_small.checker.grading import originality
from gpt2_small.checker.parts import PARTS
from gpt2_small.checker.report_formats import POINTS
from gpt2_small.checker.sandbox.client import Checker
from gpt2_small.checker.sandbox.task import Limits
from gpt2_small.checker.verdict import Result, Status, Verdict
from gpt2_small.errors import UserError

PREFERRED = "my_gpt2.py"
_STOPPED = "it was stopped before"


@dataclass(frozen=True)
class Submission:
    """What a student handed in.

    student: the name of the file, or of the folder that holds it.
    problem: why there is no file to check.
    """

    student: str
    file: Path | None
    problem: str | None = None


@dataclass
class Row:
    """What was found out about a student's file.

    states: of every part.
    mistakes: ids of what was named, in learning order.
    unnamed: parts that are wrong in a way that no known mistake explains.
    reasons: why each part does not hold that is wrong, in a sentence.
    remarks: what an instructor should look at.
    error: why the file was not checked, or not to its end.
    code: of all parts, without names, comments and layout; two files of one code are copies.
    """

    student: str
    file: str = ""
    sha256: str | None = None
    states: dict[str, Status] = field(default_factory=dict)
    mistakes: list[str] = field(default_factory=list)
    unnamed: list[str] = field(default_factory=list)
    reasons: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    error: str | None = None
    seconds: float = 0.0
    code: str = ""

    @property
    def done(self) -> list[str]:
        return [part for part in PARTS if self.states.get(part) == "passed"]

    @property
    def points(self) -> float:
        """Each part is worth the same, and is all right or not."""
        return round(POINTS * len(self.done) / len(PARTS), 2)


def submissions(folder: Path) -> list[Submission]:
    """The files of a folder, and of the folders in it, one a student, by name.

    Raises UserError for a folder that is not there, or holds nothing to check.
    """
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise UserError(f"{folder} {what}; give the folder that holds the students' files")
    found = []
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith((".", "_")):
            continue
        if entry.is_dir():
            found.append(_inside(entry))
        elif entry.suffix == ".py" and entry.is_file():
            found.append(Submission(entry.stem, entry))
    if not any(submission.file for submission in found):
        raise UserError(
            f"{folder} holds no Python files; put in it a file, or a folder with one, a student"
        )
    return found


def _inside(folder: Path) -> Submission:
    files = [file for file in sorted(folder.glob("*.py")) if file.is_file()]
    preferred = [file for file in files if file.name == PREFERRED]
    chosen = preferred or files
    if len(chosen) == 1:
        return Submission(folder.name, chosen[0])
    problem = "there is no Python file in the folder"
    if files:
        problem = f"the folder holds {len(files)} Python files, none of them called {PREFERRED}"
    return Submission(folder.name, None, problem)


class _OutOfTime(Exception):
    """A file has taken all the time that it may take, or nobody waits for it any more."""


class Grading:
    """Checks submissions, several at a time, each with a checker of its own.

    seed: of everything that the checks draw.
    seconds: that a whole file may take; the check that is running then ends by its own limit.
    """

    def __init__(self, *, seed: int, seconds: float, limits: Limits, jobs: int) -> None:
        self.seed, self.seconds, self.limits, self.jobs = seed, seconds, limits, jobs
        self.rows: list[Row] = []
        self._stop = threading.Event()
        self._checkers: SimpleQueue[Checker] = SimpleQueue()

    def run(self, handed_in: Sequence[Submission], on_row: Callable[[Row], None]) -> None:
        """Fill `rows`, in the order of the submissions; when interrupted, with those so far."""
        checkers = [Checker(self.limits) for _ in range(min(self.jobs, len(handed_in)))]
        for checker in checkers:
            checker.warm()
            self._checkers.put(checker)
        pool = ThreadPoolExecutor(len(checkers))
        try:
            for row in pool.map(self._row, handed_in):
                self.rows.append(row)
                on_row(row)
        finally:
            self._stop.set()
            pool.shutdown(cancel_futures=True)
            for checker in checkers:
                checker.close()
        note_copies(self.rows)

    def _row(self, submission: Submission) -> Row:
        row = Row(submission.student, error=submission.problem)
        if submission.file is None:
            return row
        row.file = str(submission.file)
        checker = self._checkers.get()
        started = time.monotonic()
        try:
            self._check(checker, submission.file, row)
        except UserError as error:
            row.error = str(error)
        finally:
            self._checkers.put(checker)
        row.seconds = time.monotonic() - started
        return row

    def _check(self, checker: Checker, file: Path, row: Row) -> None:
        deadline = time.monotonic() + self.seconds
        results: list[Result] = []

        def tell(result: Result) -> None:
            results.append(result)
            if time.monotonic() > deadline or self._stop.is_set():
                raise _OutOfTime

        text = binding.read(file)
        row.sha256 = hashlib.sha256(text).hexdigest()
        try:
            verdict = checker.check(file, seed=self.seed, on_result=tell)
        except _OutOfTime:
            verdict = Verdict(row.file, row.sha256, before_the_last_part(results))
            row.error = f"it took more than {self.seconds:g} seconds and was stopped"
        take(row, verdict)
        tree = originality.parsed(text)
        if tree is not None:
            row.remarks += remarks_on(tree, row)
            row.code = originality.fingerprint(tree)


def before_the_last_part(results: Sequence[Result]) -> list[Result]:
    """The results of the parts that were checked to their end; the others as waiting."""
    begun = [part for part in PARTS if any(r.component == part for r in results)]
    whole = begun[:-1]
    left = [Result(p, "", "waiting", message=_STOPPED) for p in PARTS if p not in whole]
    return [result for result in results if result.component in whole] + left


def take(row: Row, verdict: Verdict) -> None:
    """Write a verdict into a row."""
    row.error = row.error or verdict.error
    row.states = {part: verdict.state_of(part) for part in verdict.parts()}
    wrong = [part for part in verdict.parts() if verdict.state_of(part) == "failed"]
    row.reasons = {part: verdict.reason(part) for part in wrong}
    for part, report in verdict.reports.items():
        row.mistakes += report.mistakes
        if verdict.state_of(part) == "failed" and not report.mistakes:
            row.unnamed.append(part)


def remarks_on(tree: ast.Module, row: Row) -> list[str]:
    """What the text of a checked file tells an instructor."""
    missing = originality.undefined(tree, row.done)
    said = [f"{part} holds, but is not defined in the file" for part in missing]
    return originality.remarks(tree) + said


def note_copies(rows: Iterable[Row]) -> None:
    """Remark on rows of the same code of which something holds."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if row.code and row.done:
            groups.setdefault(row.code, []).append(row)
    for group in groups.values():
        for row in group:
            others = [other.student for other in group if other is not row]
            if others:
                row.remarks.append(f"the same code as {', '.join(others)}")


def mistake_counts(rows: Iterable[Row]) -> list[tuple[str, int]]:
    """Mistakes by id with the number of students who made them, the most frequent first."""
    counts = Counter(mistake for row in rows for mistake in set(row.mistakes))
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))
