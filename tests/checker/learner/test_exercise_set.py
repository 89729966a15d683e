"""Test exercise sets: reference, parts, claims, hints, and the mark in a file."""

from pathlib import Path
from types import ModuleType

import pytest
import torch
from filled_skeleton import filled_in

from gpt2_small import UserError, binding
from gpt2_small.checker import exercise_sets
from gpt2_small.checker.claims import Claim
from gpt2_small.checker.claims.judging.runner import judge, stand_in
from gpt2_small.checker.exercise_set import GPT2, ExerciseSet
from gpt2_small.checker.exercise_sets import find_lesson
from gpt2_small.checker.learner.hints import Guide
from gpt2_small.checker.learner.skeleton import skeleton
from gpt2_small.checker.mistakes.edited_reference import build
from gpt2_small.checker.mistakes.mistake import Mistake
from gpt2_small.checker.sandbox.client import Checker

REFERENCE = '''"""Two small functions."""

import torch
from torch import Tensor


def double(numbers: Tensor) -> Tensor:
    """Twice the numbers."""
    return 2 * numbers


def quadruple(numbers: Tensor) -> Tensor:
    """Four times the numbers."""
    return double(double(numbers))
'''


def observe(part: str):
    def observed(module: ModuleType, seed: int):
        return {"the result": getattr(module, part)(torch.arange(3.0) + seed)}

    return observed


CLAIMS = {
    part: (Claim(part, "The result is right", observe(part), gate=True),)
    for part in ("double", "quadruple")
}
ADDS = Mistake(
    id="double-adds", component="double", old="2 * numbers", new="2 + numbers", sentence="adds 2"
)


@pytest.fixture
def small(tmp_path: Path) -> ExerciseSet:
    """Return a set of two functions."""
    (tmp_path / "reference.py").write_text(REFERENCE)
    guide = Guide(steps=("Multiply.",), hints=("How often?", "Twice.", "2 * x"))
    return ExerciseSet(
        name="small",
        reference=tmp_path / "reference.py",
        parts=("double", "quadruple"),
        claims=CLAIMS.__getitem__,
        mistakes=lambda part: (ADDS,) if part == "double" else (),
        guides=lambda: dict.fromkeys(CLAIMS, guide),
    )


def test_a_sets_skeleton_leaves_its_parts_out_and_names_the_set(small) -> None:
    text = skeleton(small)
    assert text.count("raise NotImplementedError") == 2
    assert "# 1. Multiply." in text
    assert small.mark in text
    assert filled_in(text, small) == REFERENCE


def test_a_part_of_a_set_is_judged_with_the_sets_reference_for_the_other_parts(small) -> None:
    wrong = build(ADDS, exercises=small)
    states = [one.result.status for one in judge(wrong, "double", exercises=small)]
    assert states == ["failed"]
    stand_in(wrong, ["quadruple"], exercises=small)
    states = [one.result.status for one in judge(wrong, "quadruple", exercises=small)]
    assert states == ["passed"]


def test_a_mistake_and_a_part_of_a_set_are_found_by_name(small) -> None:
    assert small.find_mistake("double-adds") is ADDS
    assert small.in_learning_order(["Quadruple", "double"]) == ["double", "quadruple"]
    with pytest.raises(UserError, match="did you mean double"):
        small.find_part("duoble")


def test_a_file_without_a_mark_belongs_to_the_fifteen_parts() -> None:
    assert exercise_sets.of_source(binding.reference_path().read_bytes()) is GPT2


def test_a_file_of_a_missing_lesson_is_refused_with_its_name() -> None:
    with pytest.raises(UserError, match="there is no lesson 'no-such-lesson'"):
        exercise_sets.of_source(b"import torch\n# gpt2-small lesson: no-such-lesson\n")


@pytest.mark.parametrize("name", ["bigram", "Bigram", "01_bigram", "01-bigram", "01", "1"])
def test_a_lesson_is_found_by_its_name_its_folder_and_its_number(name: str) -> None:
    assert exercise_sets.find_lesson(name).name == "bigram"


@pytest.mark.parametrize("name", ["", "0", "00", "09", "bigrams", "02_bigram"])
def test_an_unknown_lesson_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="there is no lesson"):
        exercise_sets.find_lesson(name)


def test_a_part_of_a_lesson_may_call_one_that_is_not_written(tmp_path: Path) -> None:
    lesson = find_lesson("bigram")
    written = "def mean_loss(table, tokens):\n    raise NotImplementedError\n\n\n" + (
        "def logits_loss(logits, tokens):\n    return mean_loss(logits.softmax(dim=-1), tokens)\n"
    )
    path = tmp_path / "my_bigram.py"
    path.write_text(lesson.mark + written)
    with Checker() as checker:
        assert checker.check(path, ["logits_loss"]).state_of("logits_loss") == "passed"
