"""Check the submissions of a class in parallel."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

from gpt2_small.checker import kit_version
from gpt2_small.checker.grading import originality
from gpt2_small.checker.grading.student_rows import (
    GradeRow,
    note_copies,
    note_other_sets,
    sort_remarks,
)
from gpt2_small.checker.grading.submissions import Submission
from gpt2_small.checker.parts import PARTS
from gpt2_small.checker.sandbox.client import Checker
from gpt2_small.checker.sandbox.run_time_access import HELPER
from gpt2_small.checker.sandbox.task import Limits
from gpt2_small.checker.verdict import Result, Verdict
from gpt2_small.errors import UserError

_STOPPED = "the file was stopped before this part"


class _OutOfTime(Exception):
    """A file exceeded its time limit, or grading was interrupted."""


class Grading:
    """Checks submissions in parallel, each with its own checker.

    seed: for the checks' random inputs.
    seconds: time limit per file; a running check still ends by its own limit.
    """

    def __init__(self, *, seed: int, seconds: float, limits: Limits, jobs: int) -> None:
        self.seed, self.seconds, self.limits, self.jobs = seed, seconds, limits, jobs
        self.rows: list[GradeRow] = []
        self._stop = threading.Event()
        self._checkers: SimpleQueue[Checker] = SimpleQueue()

    def run(self, handed_in: Sequence[Submission], on_row: Callable[[GradeRow], None]) -> None:
        """Fill `rows` in the submissions' order; after an interruption, with those so far."""
        checkers = [Checker(self.limits) for _ in range(min(self.jobs, len(handed_in)))]
        for checker in checkers:
            checker.warm(PARTS)
            self._checkers.put(checker)
        pool = ThreadPoolExecutor(len(checkers))
        try:
            for row in pool.map(self._row, handed_in):
                self.rows.append(row)
                on_row(row)
        except BaseException:
            for checker in checkers:
                checker.stop()
            raise
        finally:
            self._stop.set()
            pool.shutdown(cancel_futures=True)
            for checker in checkers:
                checker.close()
            self._finish(handed_in)

    @property
    def alarms(self) -> list[GradeRow]:
        """Rows whose files vanished or changed during grading."""
        return [row for row in self.rows if row.remarks and row.remarks[0].startswith("ALARM")]

    def _finish(self, handed_in: Sequence[Submission]) -> None:
        """Add remarks that need all rows."""
        note_copies(self.rows)
        note_other_sets(self.rows)
        for submission, row in zip(handed_in, self.rows, strict=False):
            alarm = submission.alarm()
            if alarm is not None:
                row.remarks.insert(0, alarm)
        sort_remarks(self.rows)

    def _row(self, submission: Submission) -> GradeRow:
        row = GradeRow(submission.student, str(submission.file), submission.sha256)
        row.exercises = submission.exercises
        if submission.problem is not None:
            row.not_graded = submission.problem
            return row
        checker = self._checkers.get()
        started = time.monotonic()
        try:
            self._check(checker, submission, row)
        except UserError as error:
            row.error = str(error)
        except Exception as error:  # one file must not end the grading of the others
            row.error = f"{row.file}: it could not be graded ({type(error).__name__}: {error})"
        finally:
            self._checkers.put(checker)
        row.seconds = time.monotonic() - started
        return row

    def _check(self, checker: Checker, submission: Submission, row: GradeRow) -> None:
        deadline = time.monotonic() + self.seconds
        results: list[Result] = []

        def tell(result: Result) -> None:
            results.append(result)
            if time.monotonic() > deadline or self._stop.is_set():
                raise _OutOfTime

        source, parts = submission.source, submission.exercises.parts
        try:
            verdict = checker.check(
                submission.file,
                source=source,
                seed=self.seed,
                has_helpers=submission.is_alone,
                on_result=tell,
                on_access=row.accesses.append,
            )
        except _OutOfTime:
            kept = before_the_last_part(results, parts)
            verdict = Verdict(row.file, row.sha256, kept, all_parts=parts)
            row.error = f"stopped after {self.seconds:g} seconds; the parts before count"
        row.take(verdict)
        row.begun_with = kit_version.begun_with(source)
        row.remarks += remarks_on(submission, row)
        tree = originality.parsed(source)
        row.code = "" if tree is None else originality.fingerprint(tree, row.exercises)


def before_the_last_part(results: Sequence[Result], parts: Sequence[str]) -> list[Result]:
    """The results of completely checked parts; all others as waiting."""
    begun = [part for part in parts if any(r.component == part for r in results)]
    whole = begun[:-1]
    left = [Result(p, "", "waiting", message=_STOPPED) for p in parts if p not in whole]
    return [result for result in results if result.component in whole] + left


def remarks_on(submission: Submission, row: GradeRow) -> list[str]:
    """The instructor's remarks on a checked file, the most important first."""
    said = [*submission.notes, *([f"a link to {submission.link}"] if submission.link else [])]
    said += originality.remarks_on(submission.source, row.done, row.exercises, row.accesses)
    for helper, text in submission.helpers.items():
        if any(access.startswith(f"{HELPER} {helper}") for access in row.accesses):
            about = originality.remarks_on(text, (), row.exercises)
            said += [f"{helper}: {remark}" for remark in about]
    age = kit_version.remark(submission.source, row.exercises)
    return said + ([age] if age else [])
