"""Mistakes planted in the reference, each rejected by the claim that should."""

import sys

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
