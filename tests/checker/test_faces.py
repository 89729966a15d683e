"""Test that `check`, the in-process runner and pytest agree.

Pytest adds drawn shapes, live TransformerLens and shape types to the list of claims; none of these
fails a file that keeps the docstrings' promises.
"""

import ast
import importlib
import inspect
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest
from checking import check_text, wrong_text
from default_share import few
from processes import ROOT
from shape_types import check_shapes

import gpt2_small
from gpt2_small import binding
from gpt2_small.checker.claims import claims_of
from gpt2_small.checker.claims.judging.runner import judge, judge_one, stand_in
from gpt2_small.checker.mistakes import edited_reference, mistake
from gpt2_small.checker.parts import FILE_OF, PARTS

pytestmark = pytest.mark.usefixtures("one_thread")

FUSED = ROOT / "tests" / "checker" / "styles" / "fused.py"
RIGHT = sorted((ROOT / "tests" / "checker" / "right_files").glob("*.py"))
KNOWN = [m for m in mistake.catalogue() if m.same_as is None]
# A module, and functions that draw, count and sort; `pytest -m slow` tries every mistake of a part.
FEW = ("LayerNorm", "sample", "learning_rate", "parameter_groups")
ONE_OF_A_FEW_PARTS = [next(m for m in KNOWN if m.component == part) for part in FEW]


def reworded() -> str:
    """Return the reference with every word of its errors replaced."""
    tree = ast.parse(edited_reference.reference_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            node.exc.args = [ast.Constant("no")]
    return ast.unparse(tree)


def raising_parts() -> list[str]:
    """Return the parts whose code raises an error."""
    definitions = {getattr(node, "name", ""): node for node in ast.parse(reworded()).body}
    return [
        part
        for part in PARTS
        if any(isinstance(node, ast.Raise) for node in ast.walk(definitions[part]))
    ]


@cache
def added_by_pytest(part: str) -> list[Callable[..., None]]:
    """Return the tests of a part in addition to its claims."""
    names = {"generation": "generation", "training_step": "train_step", "training": "train"}
    file = names.get(FILE_OF[part], FILE_OF[part])
    tests = inspect.getmembers(importlib.import_module(f"test_{file}"), inspect.isfunction)
    found = []
    for name, test in tests:
        marks = {mark.name for mark in getattr(test, "pytestmark", [])}
        if name.startswith("test_") and "component" in marks and "claim" not in marks:
            found.append(test)
    return found


def states_here(module: ModuleType, part: str) -> dict[str, str]:
    return {one.result.check: one.result.status for one in judge(module, part)}


def states_in_the_sandbox(folder: Path, text: str, part: str) -> dict[str, str]:
    verdict = check_text(folder, text, part, naming=False)
    return {result.check: result.status for result in verdict.results}


def agree(folder: Path, wrong: mistake.Mistake) -> None:
    """Assert that the same claims hold for a mistake in this process and in the sandbox."""
    part = wrong.component
    sandboxed = states_in_the_sandbox(folder, wrong_text(wrong), part)
    here = states_here(edited_reference.build(wrong), part)
    # Claims that wait in the sandbox for other parts, or for a gate, are not about the part alone.
    sandboxed = {name: state for name, state in sandboxed.items() if state != "waiting"}
    assert sandboxed == {name: state for name, state in here.items() if name in sandboxed}
    assert ("failed" in sandboxed.values()) == (not wrong.equivalent)


@pytest.mark.parametrize("wrong", ONE_OF_A_FEW_PARTS, ids=lambda m: m.id)
def test_a_mistake_is_judged_the_same_in_this_process_and_in_the_sandbox(tmp_path, wrong) -> None:
    agree(tmp_path, wrong)


@pytest.mark.slow
@pytest.mark.parametrize("part", PARTS)
def test_every_mistake_is_judged_the_same_in_this_process_and_in_the_sandbox(
    tmp_path, part
) -> None:
    for wrong in KNOWN:
        if wrong.component == part:
            agree(tmp_path, wrong)


@pytest.mark.parametrize("part", PARTS)
def test_pytest_adds_a_test_to_every_part(part: str) -> None:
    assert added_by_pytest(part)


@pytest.mark.parametrize("part", raising_parts())
def test_claims_about_errors_hold_for_a_reference_with_reworded_errors(tmp_path, part) -> None:
    path = tmp_path / "reworded.py"
    path.write_text(reworded())
    module = gpt2_small.load(path)
    claims = [claim for claim in claims_of(part) if "Error" in claim.name]
    assert claims
    assert {judge_one(claim, module, 0).result.status for claim in claims} == {"passed"}


# All claims and tests of these two take a second.
SLOWLY_JUDGED = ("generate", "train_step")


@pytest.mark.parametrize("part", few(set(raising_parts()) - {*SLOWLY_JUDGED}, raising_parts()))
def test_a_reference_with_reworded_errors_passes_check_and_pytest(tmp_path, part) -> None:
    path = tmp_path / "reworded.py"
    path.write_text(reworded())
    module = gpt2_small.load(path)
    assert set(states_here(module, part).values()) == {"passed"}
    assert set(states_in_the_sandbox(tmp_path, reworded(), part).values()) == {"passed"}
    check_shapes(module)
    for test in added_by_pytest(part):
        test(module)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("path", [FUSED, *RIGHT], ids=lambda path: path.stem)
def test_the_tests_that_pytest_adds_pass_for_every_correct_file(path: Path) -> None:
    module = binding.load(path)
    own = [part for part in PARTS if hasattr(module, part)]
    stand_in(module, own)
    check_shapes(module)
    for part in own:
        for test in added_by_pytest(part):
            test(module)


def pytest_on(path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--solution"]
    return subprocess.run([*command, str(path)], cwd=ROOT, capture_output=True, text=True)


@pytest.mark.slow
@pytest.mark.parametrize("text", [reworded(), FUSED.read_text()], ids=["reworded", "fused"])
def test_pytest_passes_a_file_that_check_passes(tmp_path, text) -> None:
    path = tmp_path / "my_gpt2.py"
    path.write_text(text)
    assert check_text(tmp_path, text).exit_code == 0
    run = pytest_on(path)
    assert run.returncode == 0, run.stdout[-3000:]


@pytest.mark.slow
def test_pytest_fails_a_file_that_check_fails(tmp_path) -> None:
    text = wrong_text(mistake.find("mlp-relu"))
    path = tmp_path / "my_gpt2.py"
    path.write_text(text)
    assert check_text(tmp_path, text, "MLP").exit_code == 1
    assert pytest_on(path).returncode == 1
    assert os.environ.get(binding.SOLUTION_VARIABLE) is None
