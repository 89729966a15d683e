"""Test which file of a class belongs to whom, in the layouts that learning platforms write."""

import os
from pathlib import Path

import pytest

from gpt2_small.checker.grading import student_folders, student_names
from gpt2_small.checker.grading.submissions import Submission, submissions

PART = "class LayerNorm:\n    pass\n"


def found(folder: Path, *names: str) -> dict[str, Submission]:
    """Write files with a part, and return the submissions by student."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(PART)
    return {one.student: one for one in submissions(folder)}


def test_a_canvas_download_gives_the_students_name_and_number(tmp_path: Path) -> None:
    names = found(tmp_path, "smithanna_1234_56789_my_gpt2.py", "leeben_LATE_77_88_my_gpt2-1.py")
    assert names["smithanna_1234"].notes == ()
    assert names["leeben_77"].notes == (student_names.LATE,)


def test_two_files_of_a_student_are_both_listed_with_a_remark(tmp_path: Path) -> None:
    two = "smithanna_1234_56_a.py"
    names = found(tmp_path, two, "smithanna_1234_57_b.py")
    assert set(names) == {two, "smithanna_1234_57_b.py"}
    assert {one.notes for one in names.values()} == {("one of 2 files of smithanna_1234",)}


def test_names_are_unique_also_beside_backups(tmp_path: Path) -> None:
    files = ["anna.py", "anna.ipynb", "anna.py.bak", "anna.py~", "anna/my_gpt2.py"]
    assert len(found(tmp_path, *files)) == 5


def test_names_that_are_one_name_on_some_systems_are_told_apart(tmp_path: Path) -> None:
    composed, decomposed = "Zo\u00eb", "Zoe\u0308"
    files = ["Ben.py", "ben/my_gpt2.py", f"{composed}.py", f"{decomposed}/my_gpt2.py"]
    assert set(found(tmp_path, *files)) == {"Ben.py", "ben", f"{composed}.py", decomposed}


@pytest.mark.parametrize(
    ("files", "chosen"),
    [
        (["my_gpt2.py", "tests/test_it.py"], "my_gpt2.py"),
        (["My_GPT2.PY", "other.py"], "My_GPT2.PY"),
        (["=setup.py", "src/model.py"], "src/model.py"),
        (["=train.py", "model.py"], "model.py"),
        (["=own.py"], "own.py"),
        (["wrapped/wrapped/my_gpt2.py"], "wrapped/wrapped/my_gpt2.py"),
        (["__MACOSX/._my_gpt2.py", "my_gpt2.py"], "my_gpt2.py"),
        (["one.py", "two.py"], None),
    ],
)
def test_a_folders_solution_is_named_so_or_is_the_only_file_with_parts(
    tmp_path: Path, files: list[str], chosen: str | None
) -> None:
    """A name that begins with `=` stands for a file without parts."""
    for name in files:
        path = tmp_path / name.removeprefix("=")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x = 1\n" if name.startswith("=") else PART)
    solution = student_folders.solution_in(tmp_path)
    assert solution == (tmp_path / chosen if chosen else solution)
    assert isinstance(solution, str) == (chosen is None)


def test_a_link_to_a_large_tree_is_not_searched_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(40):
        (tmp_path / "disk" / f"{number:02}").mkdir(parents=True)
        (tmp_path / "disk" / f"{number:02}" / "file.txt").write_text("")
    (tmp_path / "class").mkdir()
    (tmp_path / "class" / "trudy").symlink_to(tmp_path / "disk")
    walked = []
    walk = os.walk
    monkeypatch.setattr(student_folders, "_MOST_FILES", 60)
    monkeypatch.setattr(
        os, "walk", lambda folder: (walked.append(one) or one for one in walk(folder))
    )
    assert str(student_folders.solution_in(tmp_path / "class" / "trudy")).startswith("no Python")
    assert len(walked) < 30


def test_a_helper_file_that_changes_is_an_alarm(tmp_path: Path) -> None:
    anna = found(tmp_path, "anna/my_gpt2.py", "anna/parts/norm.py")["anna"]
    assert anna.alarm() is None
    (tmp_path / "anna" / "parts" / "norm.py").write_text("changed")
    assert "parts/norm.py, which the file can import, changed" in str(anna.alarm())


def test_a_helper_file_that_appears_is_an_alarm(tmp_path: Path) -> None:
    anna = found(tmp_path, "anna/my_gpt2.py")["anna"]
    (tmp_path / "anna" / "norm.py").write_text("new")
    assert "norm.py, which the file can import, changed" in str(anna.alarm())
