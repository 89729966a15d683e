"""Every check rejects what it is there for, and accepts the reference whatever is drawn."""

from types import ModuleType

import checker_faults
import pytest
import torch

from gpt2_small.checker.claims import Claim, claims_of
from gpt2_small.checker.claims import runner as judge
from gpt2_small.checker.mistakes import mistake
from gpt2_small.checker.parts import PARTS

# It starts processes; it is tried by itself, in the server, where nothing else is going on.
FORKS = "A step of two processes is that of one"


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def check_of(part: str, beginning: str) -> Claim:
    return next(check for check in claims_of(part) if check.name.startswith(beginning))


def with_fault(part: str, old: str, new: str) -> ModuleType:
    fault = mistake.Mistake(id="planted", component=part, old=old, new=new, sentence="")
    return mistake.build(fault)


@pytest.mark.parametrize(
    ("part", "sentence", "old", "new"), checker_faults.MODULES + checker_faults.FUNCTIONS
)
def test_a_check_rejects_the_fault_that_it_is_there_for(part, sentence, old, new) -> None:
    judged = judge.judge_one(check_of(part, sentence), with_fault(part, old, new), seed=0)
    assert judged.result.status == "failed", judged.result
    assert judged.result.message


@pytest.mark.parametrize(("part", "sentence", "old", "new"), checker_faults.TOGETHER)
def test_a_check_of_several_parts_rejects_a_fault_in_any_of_them(part, sentence, old, new) -> None:
    text = mistake.reference_text()
    assert text.count(old) == 1
    module = ModuleType("faulty")
    module.__file__ = "<faulty>"
    exec(text.replace(old, new), module.__dict__)
    judged = judge.judge_one(check_of(part, sentence), module, seed=0)
    assert judged.result.status == "failed"


@pytest.mark.parametrize("part", PARTS)
def test_the_reference_passes_its_checks_with_whatever_seed(part) -> None:
    for check in claims_of(part):
        if check.name != FORKS:
            result = judge.judge_one(check, mistake.reference(), seed=1).result
            assert result.status == "passed", result


@pytest.mark.parametrize("part", PARTS)
def test_other_seeds_draw_other_inputs(part) -> None:
    first, second = ({c.name: judge.expected(c, s)[0] for c in claims_of(part)} for s in (0, 1))
    numbers = [
        (entry, second[check][name])
        for check, seen in first.items()
        for name, entry in seen.items()
        if isinstance(entry, torch.Tensor) and name in second[check]
    ]
    names = [{(check, name) for check in c for name in c[check]} for c in (first, second)]
    drawn_anew = any(a.shape != b.shape or not torch.equal(a, b) for a, b in numbers)
    assert drawn_anew or names[0] != names[1] or not numbers


def test_sentences_are_unique_within_a_part() -> None:
    for part in PARTS:
        names = [check.name for check in claims_of(part)]
        assert len(set(names)) == len(names)


def test_every_part_begins_with_its_gate() -> None:
    for part in PARTS:
        first, *rest = claims_of(part)
        assert first.gate
        assert not any(check.gate for check in rest)
