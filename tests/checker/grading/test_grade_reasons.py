"""Test that every screen and report gives the reasons for missing points."""

import csv
import io
import json
from pathlib import Path

import pytest
from checking import LIMITS, SHORT, check_text, reference_with
from command_line import run_in_an_empty_folder
from rich.console import Console

from gpt2_small.checker import exercise_sets
from gpt2_small.checker.grading import class_screen, feedback, reports
from gpt2_small.checker.grading import grading as grade
from gpt2_small.checker.grading.grading import Grading
from gpt2_small.checker.grading.student_rows import GradeRow
from gpt2_small.checker.grading.submissions import Submission, submissions
from gpt2_small.checker.learner import skeleton
from gpt2_small.checker.parts import PARTS
from gpt2_small.checker.report_formats import as_gradescope
from gpt2_small.checker.sandbox.task import Limits
from gpt2_small.checker.verdict import Result, Verdict

run = run_in_an_empty_folder
BEGIN = "        centered = residual - red"
ENDINGS = {
    "an endless loop": ("while True: pass", "it did not finish within"),
    "too much memory": ("x = torch.zeros(1 << 31).add(1)", "needs more memory than it may have"),
    "the end of the process": ("import os; os._exit(0)", "end"),
    "an exception": ("raise KeyError('x')", "KeyError: 'x'"),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_a_part_that_ended_its_process_has_that_reason_and_no_unknown_mistake(
    tmp_path: Path, name: str
) -> None:
    statement, reason = ENDINGS[name]
    text = reference_with((BEGIN, f"        {statement}\n{BEGIN}"))
    limits = SHORT if name == "an endless loop" else LIMITS
    verdict = check_text(tmp_path, text, "LayerNorm", limits=limits)
    row = GradeRow("a", file="a.py")
    row.take(verdict)
    assert reason in row.reasons["LayerNorm"]
    assert "known mistake" not in feedback.as_markdown(row).lower()
    assert reason in feedback.as_markdown(row).replace("\\", "")


def test_gradescope_has_a_reason_for_every_part() -> None:
    states = ["passed", "failed", "not_written", "waiting"]
    results = [
        Result(part, "A claim", states[n % 4], message="" if n % 4 == 0 else f"because {n}")  # type: ignore[arg-type]
        for n, part in enumerate(PARTS)
    ]
    tests = json.loads(as_gradescope(Verdict("a.py", None, results)))["tests"]
    assert [test["name"] for test in tests] == list(PARTS)
    assert tests[0]["output"] == "All 1 checks passed."
    assert all(f"because {n}" in t["output"] for n, t in enumerate(tests) if n % 4)


def test_gradescope_has_the_reason_when_the_file_cannot_be_run() -> None:
    tests = json.loads(as_gradescope(Verdict("a.py", error="a.py, line 1: no Python")))["tests"]
    assert {test["output"] for test in tests} == {"a.py, line 1: no Python"}


def test_a_student_with_many_remarks_takes_one_line_in_the_screens_list() -> None:
    grading = Grading(seed=1, seconds=1, limits=Limits(), jobs=1)
    remarks = [f"remark {n} " + "word " * 40 for n in range(7)]
    grading.rows = [
        GradeRow("ann", remarks=remarks),
        GradeRow("bob", remarks=["ALARM: the file changed"]),
    ]
    console = Console(file=io.StringIO(), width=80)
    console.print(class_screen.on_screen(grading))
    shown = console.file.getvalue().split("To look at")[1].split("\n\n")[0]  # type: ignore[attr-defined]
    ann, bob = shown.strip().splitlines()
    assert ann.startswith("ann: remark 0 word")
    assert ann.rstrip().endswith("(+6 more)")
    assert bob.rstrip() == "bob: ALARM: the file changed"


def test_every_report_of_grade_lists_unjudged_parts() -> None:
    note = "Not judged of MLP: d_mlp, which it fixes, and how its parameters are first drawn."
    row = GradeRow("ann", file="ann.py")
    row.take(Verdict("ann.py", None, [Result("MLP", "A claim", "passed")], remarks=[note]))
    grading = Grading(seed=0, seconds=1, limits=Limits(), jobs=1)
    grading.rows = [row]
    console = Console(file=io.StringIO(), width=120)
    console.print(class_screen.on_screen(grading))
    assert f"ann: {note}" in console.file.getvalue()  # type: ignore[attr-defined]
    assert note in feedback.as_markdown(row).replace("\\", "")
    assert json.loads(reports.as_json(grading))["students"][0]["notes"] == [note]
    [cells] = csv.DictReader(io.StringIO(reports.as_csv(grading)))
    assert cells["notes"] == note
    assert cells["remarks"] == ""


def test_grade_exits_with_1_when_a_file_changed_during_grading(run, tmp_path, monkeypatch) -> None:
    file = tmp_path / "class" / "a.py"
    file.parent.mkdir()
    file.write_text("a = 1")

    def check(self: Grading, checker: object, submission: Submission, row: GradeRow) -> None:
        file.write_text("a = 2")

    monkeypatch.setattr(Grading, "_check", check)
    monkeypatch.setattr(grade.Checker, "warm", lambda *_: None)
    ran = run("grade", "class")
    assert ran.code == 1
    assert "a: ALARM: " in ran.out


def test_a_submission_for_a_lesson_is_graded_with_the_lessons_claims(tmp_path: Path) -> None:
    name = next(iter(exercise_sets.lesson_folders()))
    lesson = exercise_sets.find_lesson(name)
    (tmp_path / "ann.py").write_text(skeleton.skeleton(lesson))
    (handed_in,) = submissions(tmp_path)
    assert handed_in.exercises == lesson
    grading = Grading(seed=1, seconds=60, limits=Limits(), jobs=1)
    grading.run([handed_in], lambda row: None)
    (row,) = grading.rows
    assert set(row.states) == set(lesson.parts)
    assert set(row.reasons) == set(lesson.parts)
