"""Test the detection of saves, and of the parts that a save changed."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gpt2_small.checker.learner import skeleton as exercises
from gpt2_small.checker.learner.watching.saved_file import Gone, Saved, SavedFile, changed_parts
from gpt2_small.checker.parts import PARTS

SKELETON = exercises.skeleton()

STAYS_SO = 10


@pytest.fixture
def saved(file: Path) -> SavedFile:
    saved = SavedFile(file)
    assert saved.look() == Saved(b"a = 1\n")
    return saved


def looks(saved: SavedFile) -> list[Saved | Gone]:
    return [seen for seen in (saved.look() for _ in range(STAYS_SO)) if seen is not None]


def test_a_save_is_reported_once(saved: SavedFile) -> None:
    saved.path.write_text("a = 22\n")
    assert looks(saved) == [Saved(b"a = 22\n")]


def test_a_changed_modification_time_is_no_save(saved: SavedFile) -> None:
    os.utime(saved.path, (1, 1))
    assert looks(saved) == []


def test_a_save_in_two_writes_is_reported_once_and_complete(saved: SavedFile) -> None:
    saved.path.write_text("def f(:")
    assert saved.look() is None
    saved.path.write_text("def f(): pass\n")
    assert looks(saved) == [Saved(b"def f(): pass\n")]


def test_an_empty_file_between_two_saves_is_ignored(saved: SavedFile) -> None:
    saved.path.write_text("")
    assert saved.look() is None
    saved.path.write_text("b = 2\n")
    assert looks(saved) == [Saved(b"b = 2\n")]


def test_a_file_that_stays_broken_is_reported_once(saved: SavedFile) -> None:
    saved.path.write_text("def f(:")
    assert looks(saved) == [Saved(b"def f(:")]


def test_a_file_replaced_by_another_of_the_same_name_is_a_save(saved: SavedFile) -> None:
    other = saved.path.with_name("other")
    other.write_text("c = 3\n")
    saved.path.unlink()
    assert saved.look() is None
    other.rename(saved.path)
    assert looks(saved) == [Saved(b"c = 3\n")]


def test_a_deletion_is_reported_once_and_a_new_file_as_a_save(saved: SavedFile) -> None:
    saved.path.unlink()
    assert looks(saved) == [Gone(None)]
    saved.path.write_text("a = 1\n")
    assert looks(saved) == [Saved(b"a = 1\n")]


def test_a_renamed_file_is_found_under_its_new_name(saved: SavedFile) -> None:
    new = saved.path.rename(saved.path.with_name("mine.py"))
    assert looks(saved) == [Gone(new)]


def changed(edit: Callable[[str], str]) -> list[str]:
    return changed_parts(SKELETON.encode(), edit(SKELETON).encode())


def with_reference(part: str) -> Callable[[str], str]:
    return lambda text: exercises.with_body(text, part, exercises.reference_body(part))


@pytest.mark.parametrize("part", PARTS)
def test_only_the_edited_part_counts_as_changed(part: str) -> None:
    assert changed(with_reference(part)) == [part]


def test_comments_and_blank_lines_change_no_part() -> None:
    assert changed(lambda text: text.replace("    # 1. ", "\n    # One: ")) == []


def test_an_edited_helper_changes_the_parts_that_use_it() -> None:
    written = with_reference("MLP")(SKELETON)
    edited = written.replace('approximate="tanh"', 'approximate="none"')
    assert changed_parts(written.encode(), edited.encode()) == ["MLP"]


def test_a_changed_import_changes_every_part() -> None:
    assert changed(lambda text: text.replace("import math\n", "import math, sys\n")) == list(PARTS)
