"""Test grading a folder of files: a row per student, feedback and reports."""

import csv
import io
import json
from pathlib import Path

import pytest
from class_folder import write_class
from rich.console import Console

from gpt2_small.checker import kit_version
from gpt2_small.checker.exercise_set import GPT2
from gpt2_small.checker.grading import class_screen, feedback, heat_map, student_rows
from gpt2_small.checker.grading import reports as grade_reports
from gpt2_small.checker.grading.grading import Grading
from gpt2_small.checker.grading.student_rows import GradeRow
from gpt2_small.checker.grading.submissions import submissions
from gpt2_small.checker.learner import skeleton as exercises
from gpt2_small.checker.sandbox.task import Limits
from gpt2_small.checker.verdict import PartReport, Result, Verdict
from gpt2_small.errors import UserError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_class(tmp_path_factory.mktemp("class"))


@pytest.fixture(scope="module")
def grading(folder: Path) -> Grading:
    grading = Grading(seed=11, seconds=300, limits=Limits(), jobs=1)
    grading.run(submissions(folder), lambda row: None)
    return grading


@pytest.fixture
def row(grading: Grading, request: pytest.FixtureRequest) -> GradeRow:
    (row,) = [row for row in grading.rows if row.student == request.param]
    return row


def shown_on_screen(grading: Grading) -> str:
    console = Console(file=io.StringIO(), width=80)
    console.print(class_screen.on_screen(grading))
    return console.file.getvalue()  # type: ignore[attr-defined]


def of(student: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("row", [student], indirect=True)


def test_there_is_one_row_per_student_sorted_by_name(grading: Grading) -> None:
    assert [row.student for row in grading.rows] == [
        "ann",
        "bert",
        "carl",
        "dora",
        "emil",
        "fay",
        "gus",
    ]


@of("ann")
def test_a_passed_part_earns_its_share_of_the_points(row: GradeRow) -> None:
    assert (row.done, row.points) == (["Embedding"], 6.67)


@of("ann")
def test_a_mistake_is_named_in_the_row(row: GradeRow) -> None:
    assert row.mistakes == ["layer-norm-no-epsilon"]
    assert row.states["LayerNorm"] == "failed"


@of("bert")
def test_in_a_students_folder_the_file_with_the_usual_name_is_graded(row: GradeRow) -> None:
    assert Path(row.file).name == "my_gpt2.py"


@of("bert")
def test_a_file_that_cannot_run_gets_its_line_in_the_row_and_no_points(row: GradeRow) -> None:
    assert row.error is not None
    assert "line 1" in row.error
    assert row.points == 0


@of("ann")
def test_a_file_that_imports_the_kit_is_reported_with_the_line(row: GradeRow) -> None:
    assert any(remark.startswith("imports gpt2_small, the kit (line ") for remark in row.remarks)


@of("carl")
def test_a_folder_with_several_files_and_none_of_the_usual_name_is_reported(row: GradeRow) -> None:
    assert row.not_graded == "the folder holds 2 Python files, not one of them my_gpt2.py"


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("dora", "archive"),
        ("emil", "a .txt file"),
        ("fay", "not a notebook"),
        ("gus", "holds report.pdf"),
    ],
    indirect=["row"],
)
def test_students_who_are_not_graded_are_listed_with_the_reason(
    grading: Grading, row: GradeRow, why: str
) -> None:
    assert why in str(row.not_graded)
    shown = shown_on_screen(grading)
    assert f"{row.student}: " in shown.split("Not graded")[1]


def test_the_reason_for_an_unknown_failure_is_in_every_report() -> None:
    grading = Grading(seed=1, seconds=1, limits=Limits(), jobs=1)
    row = GradeRow("a")
    failed = Result("Embedding", "It runs", "failed", message="it did not finish in 10 seconds")
    row.take(Verdict("a.py", None, [failed], {"Embedding": PartReport(naming="not known")}))
    grading.rows = [row]
    (in_csv,) = csv.DictReader(io.StringIO(grade_reports.as_csv(grading)))
    (student,) = json.loads(grade_reports.as_json(grading))["students"]
    assert in_csv["reasons"] == "Embedding: It runs: it did not finish in 10 seconds"
    assert student["reasons"] == {"Embedding": "It runs: it did not finish in 10 seconds"}
    assert "did not finish" in shown_on_screen(grading)


def test_given_code_of_an_older_version_that_differs_is_listed() -> None:
    text = exercises.skeleton().replace(kit_version.mark(), kit_version.mark("0.0.9"))
    older = text.replace("self.eps =", "self.epsilon =")
    assert older != text
    remark = kit_version.remark(older.encode(), GPT2)
    assert remark is not None
    assert "begun with gpt2-small 0.0.9, judged by" in remark
    assert remark.endswith("given code that differs: LayerNorm.__init__")
    assert kit_version.remark(exercises.skeleton().encode(), GPT2) is None


def test_feedback_lists_passed_and_failed_parts(tmp_path: Path, grading: Grading) -> None:
    feedback.write(tmp_path, grading.rows)
    text = (tmp_path / "ann.md").read_text()
    assert "**6.67 of 100 points**" in text
    assert "| Embedding | right |" in text
    assert "Known mistake: `layer-norm-no-epsilon`" in text
    assert "imports gpt2_small" not in text
    assert "Not graded" in (tmp_path / "dora.md").read_text()


def test_feedback_replaces_only_its_own_files(tmp_path: Path, grading: Grading) -> None:
    feedback.write(tmp_path, grading.rows)
    feedback.write(tmp_path, grading.rows)
    (tmp_path / "ann.md").write_text("my notes")
    with pytest.raises(UserError, match="not overwritten"):
        feedback.write(tmp_path, grading.rows)
    assert (tmp_path / "ann.md").read_text() == "my notes"


def test_feedback_that_cannot_be_written_costs_no_other(tmp_path: Path, grading: Grading) -> None:
    (tmp_path / "ann.md").write_text("a student's own file")
    with pytest.raises(UserError, match=r"ann\.md exists"):
        feedback.write(tmp_path, grading.rows)
    assert len(list(tmp_path.glob("*.md"))) == len(grading.rows)


def test_long_names_have_feedback_of_their_own(tmp_path: Path) -> None:
    feedback.write(tmp_path, [GradeRow("x" * 252 + "a"), GradeRow("x" * 252 + "b")])
    assert len(list(tmp_path.iterdir())) == 2


def test_feedback_inside_the_folder_of_submissions_is_refused(folder: Path) -> None:
    with pytest.raises(UserError, match="another folder"):
        feedback.check_folder(folder / "feedback", folder, [])
    assert not (folder / "feedback").exists()


def test_a_mistakes_id_broken_across_lines_keeps_its_hyphens() -> None:
    assert (
        heat_map._short("mlp-w-out-init-like-w-in").replace("\n", "") == "mlp-w-out-init-like-w-in"
    )


def test_the_picture_counts_students_by_part_and_mistake(tmp_path: Path, grading: Grading) -> None:
    counted = heat_map.cells(grading.rows, GPT2)
    assert (1, "layer-norm-no-epsilon") in counted["LayerNorm"]
    assert counted["Embedding"][0] == (1, "")
    heat_map.write(tmp_path / "class.png", grading.rows)
    assert (tmp_path / "class.png").read_bytes().startswith(b"\x89PNG")


def test_the_mean_is_over_graded_students(grading: Grading) -> None:
    assert student_rows.mean_points(grading.rows) == 3.33


def test_mistakes_are_counted_once_per_student_and_sorted_by_frequency() -> None:
    some = [GradeRow("a", mistakes=["x", "y", "x"]), GradeRow("b", mistakes=["y"]), GradeRow("c")]
    assert student_rows.mistake_counts(some) == [("y", 2), ("x", 1)]


@pytest.mark.parametrize(("name", "reason"), [("none", "does not exist"), ("empty", "no Python")])
def test_a_folder_that_cannot_be_graded_is_refused_in_one_sentence(
    tmp_path: Path, name: str, reason: str
) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=reason):
        submissions(tmp_path / name)


def test_csv_has_a_line_per_student_with_the_state_of_every_part(grading: Grading) -> None:
    lines = list(csv.DictReader(io.StringIO(grade_reports.as_csv(grading))))
    assert [line["student"] for line in lines] == [row.student for row in grading.rows]
    assert lines[0]["Embedding"] == "passed"
    assert lines[0]["mistakes"] == "layer-norm-no-epsilon"


@pytest.mark.parametrize("name", ["=1+1", "+a", "-a", "@a"])
def test_a_name_that_looks_like_a_formula_is_escaped_in_the_csv(
    grading: Grading, name: str
) -> None:
    other = Grading(seed=1, seconds=1, limits=Limits(), jobs=1)
    other.rows = [GradeRow(name)]
    assert grade_reports.as_csv(other).splitlines()[1].startswith(f"'{name},")


def test_json_has_the_seed_and_the_mistakes_of_the_class(grading: Grading) -> None:
    content = json.loads(grade_reports.as_json(grading))
    counted = {"id": "layer-norm-no-epsilon", "students": 1, "component": "LayerNorm"}
    assert content["seed"] == 11
    assert content["mistakes"] == [counted]
    assert content["students"][0]["passed"] == ["Embedding"]


def test_the_screen_shows_rows_remarks_and_the_mistakes_of_the_class(grading: Grading) -> None:
    shown = shown_on_screen(grading)
    assert "ann: imports gpt2_small" in shown
    assert "1  layer-norm-no-epsilon: LayerNorm uses no epsilon" in shown
    assert all(len(line) <= 80 for line in shown.splitlines())


def test_control_characters_in_a_name_do_not_reach_the_terminal() -> None:
    assert class_screen.clean("a\x1b[2Jb\nc").plain == "a?[2Jb c"
