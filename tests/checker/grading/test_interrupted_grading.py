"""Test interrupted gradings, changed files and timeouts: finished rows are written."""

import threading
from pathlib import Path

import pytest
from class_folder import write_class

from gpt2_small.checker.grading import grading as grade
from gpt2_small.checker.grading.grading import Grading
from gpt2_small.checker.grading.student_rows import GradeRow
from gpt2_small.checker.grading.submissions import Submission, submissions
from gpt2_small.checker.parts import PARTS
from gpt2_small.checker.sandbox.task import Limits
from gpt2_small.checker.verdict import Result, Verdict


@pytest.mark.parametrize(("change", "word"), [(Path.unlink, "disappeared"), (None, "changed")])
def test_a_file_that_changes_or_disappears_during_grading_raises_an_alarm(
    tmp_path: Path, change: object, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.py"
    file.write_text("a = 1")

    def check(self: Grading, checker: object, submission: Submission, row: GradeRow) -> None:
        file.unlink() if change else file.write_text("a = 2")
        row.states = {"MLP": "passed"}

    monkeypatch.setattr(Grading, "_check", check)
    monkeypatch.setattr(grade.Checker, "warm", lambda *_: None)
    grading = Grading(seed=1, seconds=9, limits=Limits(), jobs=1)
    grading.run(submissions(tmp_path), lambda row: None)
    assert grading.alarms == grading.rows
    assert word in grading.rows[0].remarks[0]
    assert grading.rows[0].points == 6.67


class Slow:
    """A checker that yields results without end."""

    def check(self, file: Path, *, on_result: object, **options: object) -> Verdict:
        while True:
            for part in PARTS:
                on_result(Result(part, "A claim", "passed"))  # type: ignore[operator]


def test_a_file_that_takes_too_long_keeps_the_parts_that_were_checked(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("a = 1")
    grading = Grading(seed=1, seconds=0.0, limits=Limits(), jobs=1)
    row = GradeRow("a", file=str(tmp_path / "a.py"))
    (handed_in,) = submissions(tmp_path)
    grading._check(Slow(), handed_in, row)  # type: ignore[arg-type]
    assert row.error == "stopped after 0 seconds; the parts before count"
    assert row.done == []
    assert row.states["LayerNorm"] == "waiting"


def test_parts_before_a_timeout_earn_points() -> None:
    results = [Result("LayerNorm", "A", "passed"), Result("Embedding", "A", "passed")]
    verdict = Verdict("a.py", None, grade.before_the_last_part(results, PARTS))
    assert (verdict.state_of("LayerNorm"), verdict.state_of("Embedding")) == ("passed", "waiting")


@pytest.fixture
def interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Grading:
    begun = threading.Event()

    def check(self: Grading, checker: object, submission: object, row: GradeRow) -> None:
        begun.set()

    monkeypatch.setattr(Grading, "_check", check)
    monkeypatch.setattr(grade.Checker, "warm", lambda *_: None)
    grading = Grading(seed=1, seconds=9, limits=Limits(), jobs=1)

    def stop(row: GradeRow) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        grading.run(submissions(write_class(tmp_path)), stop)
    return grading


def test_an_interrupted_grading_keeps_the_rows_so_far(interrupted: Grading) -> None:
    assert [row.student for row in interrupted.rows] == ["ann"]


def test_an_interruption_waits_for_no_running_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second file runs until its checker is stopped."""
    for name in ("a", "b"):
        (tmp_path / f"{name}.py").write_text("")
    running, stopped = threading.Event(), threading.Event()

    def check(self: Grading, checker: object, submission: Submission, row: GradeRow) -> None:
        if submission.student == "b":
            running.set()
            assert stopped.wait(300)

    def interrupt(row: GradeRow) -> None:
        assert running.wait(300)
        raise KeyboardInterrupt

    monkeypatch.setattr(Grading, "_check", check)
    monkeypatch.setattr(grade.Checker, "warm", lambda *_: None)
    monkeypatch.setattr(grade.Checker, "stop", lambda _: stopped.set())
    grading = Grading(seed=1, seconds=9, limits=Limits(), jobs=2)
    with pytest.raises(KeyboardInterrupt):
        grading.run(submissions(tmp_path), interrupt)
    assert stopped.is_set()
