"""Mistakes planted in the reference, each rejected by the claim that should."""

import subprocess
import sys
from pathlib import Path

import faults_in_functions
import faults_in_modules
import pytest
from against_reference import edited_reference

import gpt2_small
from gpt2_small.binding import SOLUTION_NAMES

REJECTED = (AssertionError, pytest.fail.Exception, ValueError, RuntimeError)
FAULTS = [*faults_in_modules.FAULTS, *faults_in_functions.FAULTS]


def component(claim):
    """The part that a claim's file is about."""
    return sys.modules[claim.__module__].pytestmark.args[0]


def identify(fault):
    claim, mistake, *_ = fault
    return f"{component(claim)}: {mistake}"


@pytest.mark.parametrize("fault", FAULTS, ids=identify)
def test_the_claim_rejects_the_mistake(tmp_path, fault):
    claim, _, *edit = fault
    wrong = gpt2_small.load(edited_reference(tmp_path, tuple(edit)))
    with pytest.raises(REJECTED):
        claim(wrong)


def test_every_part_has_its_faults():
    parts = set(SOLUTION_NAMES) - {"StepResult", "TrainRecord"}
    assert {component(claim) for claim, *_ in FAULTS} == parts


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault", {component(fault[0]): fault for fault in FAULTS}.values(), ids=identify
)
def test_pytest_run_on_a_file_with_the_mistake_fails_at_the_claim(tmp_path, fault):
    claim, _, *edit = fault
    file = Path(sys.modules[claim.__module__].__file__)
    command = [sys.executable, "-m", "pytest", "-q", "--solution"]
    command += [str(edited_reference(tmp_path, tuple(edit))), f"{file}::{claim.__name__}"]
    run = subprocess.run(command, capture_output=True, text=True, cwd=file.parents[1], check=False)
    assert run.returncode == 1, run.stdout + run.stderr
    assert f"FAILED tests/{file.name}::{claim.__name__}" in run.stdout
