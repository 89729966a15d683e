"""Test attacks on grading: on the checking processes and on classmates' files."""

import ctypes
import io
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from checking import LIMITS, StartedChecker, check_text, reference_with, started_checker
from forked import wait_until
from processes import is_running
from rich.console import Console

from gpt2_small.checker import exercise_set
from gpt2_small.checker.grading import class_screen
from gpt2_small.checker.grading.grading import Grading
from gpt2_small.checker.grading.reports import as_csv
from gpt2_small.checker.grading.student_rows import (
    GradeRow,
    note_copies,
    note_other_sets,
    sort_remarks,
)
from gpt2_small.checker.grading.submissions import Submission, submissions
from gpt2_small.checker.parts import PARTS
from gpt2_small.checker.sandbox.client import Checker
from gpt2_small.checker.sandbox.task import Limits
from gpt2_small.commands.learning import check, grade

linux = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux ends orphans and hides memory"
)

LAYER_NORM = """from torch import nn
import torch


class LayerNorm(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.w = nn.Parameter(torch.ones(config.d_model))
        self.b = nn.Parameter(torch.zeros(config.d_model))
        self.eps = config.layer_norm_eps

    def forward(self, x):
        return nn.functional.layer_norm(x, self.w.shape, self.w, self.b, self.eps)
"""


def graded(folder: Path) -> dict[str, GradeRow]:
    grading = Grading(seed=11, seconds=300, limits=Limits(), jobs=1)
    grading.run(submissions(folder), lambda row: None)
    return {row.student: row for row in grading.rows}


def test_a_submission_named_torch_is_not_imported_as_torch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = tmp_path / "ran"
    (tmp_path / "torch.py").write_text(f"open({str(marker)!r}, 'w')\nraise SystemExit\n")
    monkeypatch.chdir(tmp_path)
    own = tmp_path / "own"
    own.mkdir()
    with StartedChecker(LIMITS) as checker:
        verdict = check_text(own, reference_with(), "LayerNorm", checker=checker)
    assert verdict.exit_code == 0
    assert not marker.exists()


@linux
def test_a_process_in_its_own_session_ends_with_the_check(tmp_path: Path) -> None:
    started = tmp_path / "started"
    living_on = f"""

import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        with open({str(started)!r} + ".new", "w") as file:
            file.write(str(os.getpid()))
        os.rename({str(started)!r} + ".new", {str(started)!r})
        time.sleep(600)
    os._exit(0)
while not os.path.exists({str(started)!r}):
    time.sleep(0.01)
"""
    check_text(
        tmp_path, reference_with() + living_on, "LayerNorm", naming=False, checker=started_checker()
    )
    wait_until(lambda: not is_running(int(started.read_text())))


@linux
def test_the_checking_processes_memory_cannot_be_read_even_by_root(
    tmp_path: Path,
) -> None:
    reading = """

import os
def read(pid):
    try:
        with open(f"/proc/{pid}/mem", "rb"):
            return "read"
    except PermissionError:
        return "refused"
judge = open(f"/proc/{os.getppid()}/task/{os.getppid()}/children").read().split()
raise ValueError(" ".join([read(os.getppid()), *(read(p) for p in judge if int(p) != os.getpid())]))
"""
    verdict = check_text(
        tmp_path, reference_with() + reading, "LayerNorm", checker=started_checker()
    )
    assert "ValueError: refused refused" in str(verdict.error)


def test_a_submission_cannot_import_the_files_of_others(tmp_path: Path) -> None:
    (tmp_path / "bob.py").write_text(LAYER_NORM)
    (tmp_path / "eve.py").write_text("import bob\n\n\nclass LayerNorm(bob.LayerNorm):\n    pass\n")
    rows = graded(tmp_path)
    assert rows["bob"].done == ["LayerNorm"]
    assert rows["eve"].done == []
    assert "No module named 'bob'" in str(rows["eve"].error)


def test_a_submission_in_its_own_folder_can_import_its_helpers(tmp_path: Path) -> None:
    (tmp_path / "fay").mkdir()
    (tmp_path / "fay" / "helpers.py").write_text(LAYER_NORM)
    (tmp_path / "fay" / "my_gpt2.py").write_text("from helpers import LayerNorm\n")
    assert graded(tmp_path)["fay"].done == ["LayerNorm"]


def test_a_linked_folder_gets_a_remark(tmp_path: Path) -> None:
    (tmp_path / "bob").mkdir()
    (tmp_path / "bob" / "my_gpt2.py").write_text(LAYER_NORM)
    (tmp_path / "trudy").symlink_to("bob")
    links = {one.student: one.link for one in submissions(tmp_path)}
    assert links == {"bob": None, "trudy": str(tmp_path / "bob")}


def test_a_folder_named_by_moodle_gives_the_students_name(tmp_path: Path) -> None:
    folder = tmp_path / "Anna Müller_123456_assignsubmission_file_"
    folder.mkdir()
    (folder / "my_gpt2.py").write_text(LAYER_NORM)
    assert [one.student for one in submissions(tmp_path)] == ["Anna Müller_123456"]


@pytest.mark.parametrize("code", ["-" * 60_000 + "1", "+".join("1" * 30_000)])
def test_too_deeply_nested_code_is_reported_in_one_sentence_and_the_next_file_is_judged(
    tmp_path: Path, code: str
) -> None:
    verdict = check_text(tmp_path, reference_with() + f"\nx = {code}\n", "LayerNorm")
    assert verdict.error is not None
    assert verdict.error.endswith("its code is nested too deeply to be read")
    assert check_text(tmp_path, reference_with(), "LayerNorm").exit_code == 0


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (LAYER_NORM.encode("utf-16"), "begins as UTF-16 does"),
        (b"\xff\xfe" + LAYER_NORM.encode(), "begins as UTF-16 does"),
        (LAYER_NORM.encode() + b"\0", "contains null bytes"),
    ],
)
def test_a_text_in_another_encoding_is_listed_as_not_graded_with_the_way_out(
    tmp_path: Path, content: bytes, what: str
) -> None:
    (tmp_path / "ann.py").write_bytes(content)
    (tmp_path / "bob.py").write_text(LAYER_NORM)
    problems = {one.student: one.problem for one in submissions(tmp_path)}
    problem = f"is not a Python file: it {what}; save it as UTF-8"
    assert problems == {"ann": problem, "bob": None}


@pytest.mark.parametrize(
    "content",
    [
        LAYER_NORM.encode("utf-8-sig"),
        b"# -*- coding: latin-1 -*-\n# M\xfcller\n" + LAYER_NORM.encode(),
        LAYER_NORM.replace("\n", "\r").encode(),
        pytest.param(
            (LAYER_NORM + "\n".join(f"x{n} = {n}" for n in range(60_000)) + "\n").encode(),
            marks=pytest.mark.slow,
        ),
    ],
    ids=["byte order mark", "Latin-1", "carriage returns", "60,000 lines"],
)
def test_an_unusual_text_is_judged(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "ann.py").write_bytes(content)
    assert graded(tmp_path)["ann"].done == ["LayerNorm"]


def test_no_file_can_end_the_grading_of_the_others(tmp_path: Path) -> None:
    """Its text can be parsed, but what is written about it cannot be formatted."""
    (tmp_path / "eve.py").write_text(LAYER_NORM + f"\n\nif 0:\n    torch{'.a' * 600}.os = 1\n")
    (tmp_path / "bob.py").write_text(LAYER_NORM)
    rows = graded(tmp_path)
    assert [rows[name].done for name in ("eve", "bob")] == [["LayerNorm"]] * 2
    assert "code nested too deeply to be reviewed" in rows["eve"].remarks


def test_an_unforeseen_error_costs_one_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ann", "bob"):
        (tmp_path / f"{name}.py").write_text("")

    def check(self: Grading, checker: object, submission: Submission, row: GradeRow) -> None:
        if row.student == "ann":
            raise RuntimeError("unforeseen")

    monkeypatch.setattr(Grading, "_check", check)
    monkeypatch.setattr(Checker, "warm", lambda *_: None)
    rows = graded(tmp_path)
    assert "it could not be graded (RuntimeError: unforeseen)" in str(rows["ann"].error)
    assert rows["bob"].error is None


def test_a_file_of_an_easier_exercise_set_gets_a_remark() -> None:
    lesson = replace(exercise_set.GPT2, name="norms", parts=("LayerNorm",))
    rows = [GradeRow("a"), GradeRow("b"), GradeRow("c", exercises=lesson)]
    note_other_sets(rows)
    assert [row.remarks for row in rows[:2]] == [[], []]
    assert rows[2].remarks == ["judged as 'norms', which the file names, not as 'gpt2'"]


def test_a_text_of_more_than_a_megabyte_is_not_graded(tmp_path: Path) -> None:
    (tmp_path / "eve.py").write_text("x = 1\n" * 200_000)
    (tmp_path / "bob.py").write_text(LAYER_NORM)
    problems = {one.student: one.problem for one in submissions(tmp_path)}
    assert problems == {"eve": "more than 1 MB of code", "bob": None}


def test_many_copies_hide_no_use_of_the_reference(tmp_path: Path) -> None:
    grave = "reads solution.py, the reference (line 3)"
    rows = [GradeRow(str(n), code="same", states={"MLP": "passed"}) for n in range(9)]
    rows[4].remarks = ["norm.py: calls open (line 1)", grave]
    note_copies(rows)
    sort_remarks(rows)
    assert rows[4].remarks[:2] == [grave, "the same code as 0, 1, 2 and 5 more"]


def test_one_reason_for_all_parts_is_shown_once() -> None:
    reasons = dict.fromkeys(PARTS, f"it returns: no file {'x' * 400}")
    row = GradeRow("eve", unnamed=list(PARTS), reasons=reasons)
    said = class_screen.what_of(row).plain
    assert said.startswith("LayerNorm: it returns: no file xxx")
    assert said.endswith("… (and 14 more parts)")
    assert len(said) < 260


def test_names_that_are_cut_in_the_table_stay_different() -> None:
    names = [f"gpt2-assignment-of-the-first-week-{name}" for name in ("anna", "anton")]
    grading = Grading(seed=1, seconds=1, limits=Limits(), jobs=1)
    grading.rows = [GradeRow(name) for name in names]
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(class_screen.on_screen(grading))
    joined = "".join(line[:24].strip() for line in console.export_text().splitlines())
    assert all(name in joined for name in names)


def test_control_characters_of_a_name_reach_no_report() -> None:
    grading = Grading(seed=1, seconds=1, limits=Limits(), jobs=1)
    grading.rows = [GradeRow("red\x1b[31m", remarks=["the same code as \x1b[2J"])]
    assert "\x1b" not in as_csv(grading)


@linux
@pytest.mark.parametrize("command", ["grade", "check"])
def test_the_commands_memory_is_closed_to_the_files_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """In a forked process, because it stays so."""
    (tmp_path / "ann.py").write_text("")
    prctl, is_dumpable = ctypes.CDLL(None).prctl, 3

    def ask(*_: object, **__: object) -> None:
        os._exit(10 + prctl(is_dumpable, 0, 0, 0, 0))

    monkeypatch.setattr(Grading, "run", ask)
    monkeypatch.setattr(Checker, "check", ask)
    if (process := os.fork()) == 0:
        try:
            if command == "grade":
                grade.grade(tmp_path, seconds=300, memory=2)
            else:
                check.run_checks(tmp_path / "ann.py", None, 0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 10
