"""Observe claims on a loaded module, and judge the observations.

`look` runs in the file's process and contains no expectation; `judged` compares observations, and
runs none of the file's code. `judge` does both in this process, for trusted modules.
"""

import inspect
import sys
import time
import traceback
import warnings
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from gpt2_small import binding
from gpt2_small.checker.claims import Claim
from gpt2_small.checker.claims.judging.failure import Failure
from gpt2_small.checker.claims.judging.tolerances import CLAIMS, REMARKS
from gpt2_small.checker.claims.observing.observation import TAP, Observation, first_difference
from gpt2_small.checker.difference_messages import explain_difference
from gpt2_small.checker.error_explanations import (
    explain_error,
    is_not_written,
    is_own_refusal,
)
from gpt2_small.checker.exercise_set import GPT2, ExerciseSet
from gpt2_small.checker.verdict import REMARK, Result, Status

RAISED = "raised"


@dataclass(frozen=True)
class ObservedClaim:
    """A claim's observation of a module, before any comparison.

    problem: why it was interrupted, if it was. line: the file's line of the interruption.
    written: False if the part is missing or raised NotImplementedError.
    """

    seen: Observation = field(default_factory=dict)
    problem: str | None = None
    line: int | None = None
    written: bool = True
    seconds: float = 0.0


@dataclass(frozen=True)
class JudgedClaim:
    """A claim's result, and its observation."""

    result: Result
    seen: Observation

    def with_mistake(self, mistake: str) -> "JudgedClaim":
        return JudgedClaim(replace(self.result, mistake=mistake), self.seen)

    def moved_to(self, line: int) -> "JudgedClaim":
        """A copy with another line, if it failed."""
        if self.result.status != "failed":
            return self
        return JudgedClaim(replace(self.result, line=line), self.seen)

    def with_line(self, line: int | None) -> "JudgedClaim":
        """A copy with this line, if it failed without one."""
        if self.result.status != "failed" or self.result.line is not None:
            return self
        return JudgedClaim(replace(self.result, line=line), self.seen)


def reference(exercises: ExerciseSet = GPT2) -> ModuleType:
    """The reference, loaded once per process."""
    return _loaded(exercises.reference, exercises.text)


@cache
def _loaded(path: Path, text: str | None) -> ModuleType:
    if text is None:
        return binding.load(path)
    name = f"gpt2_small_reference_{zlib.crc32(text.encode()):08x}"
    return binding.execute(text.encode(), Path("<the reference with edits>"), name)


def expected(claim: Claim, seed: int, exercises: ExerciseSet = GPT2) -> tuple[Observation, ...]:
    """A claim's expected values, and its further expectations for some entries."""
    return _expected(claim, seed, exercises)


@cache
def _expected(claim: Claim, seed: int, exercises: ExerciseSet) -> tuple[Observation, ...]:
    right = reference(exercises)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.default_generator.manual_seed(seed)
        return (claim.expected(right, seed), *(also(right, seed) for also in claim.also))


def judge(
    module: ModuleType, part: str, seed: int = 0, exercises: ExerciseSet = GPT2
) -> list[JudgedClaim]:
    """Judge all claims about a part in a module with the reference's other parts."""
    return list(judge_each(exercises.claims(part), module, seed, exercises))


def judge_each(
    claims: Iterable[Claim], module: ModuleType, seed: int, exercises: ExerciseSet = GPT2
) -> Iterator[JudgedClaim]:
    """Judge claims about one part in turn; after a gate that fails, all wait."""
    gate: Result | None = None
    for claim in claims:
        if gate is not None:
            yield JudgedClaim(behind(gate, claim), {})
            continue
        one = judge_one(claim, module, seed, exercises)
        if claim.gate and one.result.status != "passed":
            gate = one.result
        yield one


def behind(gate: Result, claim: Claim) -> Result:
    """The result of a claim whose gate failed."""
    if gate.status == "not_written":
        return Result(claim.component, claim.name, "not_written", message=gate.message)
    message = f"waits until this holds: {gate.check}"
    return Result(claim.component, claim.name, "waiting", message=message)


def judge_one(
    claim: Claim, module: ModuleType, seed: int, exercises: ExerciseSet = GPT2
) -> JudgedClaim:
    """Judge one claim."""
    one = judged(claim, look(claim, module, seed), seed, exercises)
    return one.with_line(definition_line(module, claim.component))


def judged(
    claim: Claim, sight: ObservedClaim, seed: int, exercises: ExerciseSet = GPT2
) -> JudgedClaim:
    """Compare a claim's observation with the expectation."""
    seen, problem = sight.seen, sight.problem
    if problem is None:
        seen = summarised(claim, seen)
        problem = difference(claim, seen, seed, exercises)
    elif exercises.is_variant and difference(claim, seen, seed, exercises) is None:
        problem = None  # the edited reference is interrupted there too
    status: Status = "passed" if problem is None else "failed" if sight.written else "not_written"
    if status == "failed" and not claim.required:
        status, problem = "passed", f"{REMARK}{problem}"
    result = Result(
        claim.component, claim.name, status, None, problem or "", sight.seconds, sight.line
    )
    return JudgedClaim(result, seen)


def summarised(claim: Claim, seen: Observation) -> Observation:
    """The compared values; the observation itself if the claim cannot summarise it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return claim.summarised(seen)
    except Exception:
        return seen


def difference(
    claim: Claim, seen: Observation, seed: int, exercises: ExerciseSet = GPT2
) -> str | None:
    """The first difference from the expectation as a sentence; None if there is none."""
    first, *further = expected(claim, seed, exercises)
    for wanted in (first, *further):
        mine = seen if wanted is first else {name: seen[name] for name in wanted if name in seen}
        name = first_difference(mine, wanted, CLAIMS if claim.required else REMARKS)
        if name is not None:
            return explain_difference(name, mine.get(name), wanted.get(name))
    return None


def observed(claim: Claim, module: ModuleType, seed: int) -> Observation:
    """A claim's summarised observation of a trusted module, without the graphs of its tensors."""
    sight = look(claim, module, seed)
    seen = sight.seen if sight.problem is not None else summarised(claim, sight.seen)
    return {k: value.detach() if isinstance(value, Tensor) else value for k, value in seen.items()}


def look(claim: Claim, module: ModuleType, seed: int) -> ObservedClaim:
    """Observe a module, without comparing."""
    if not hasattr(module, claim.component):
        return ObservedClaim({}, f"the file has no {claim.component}", None, False)
    started = time.perf_counter()
    torch.default_generator.manual_seed(seed)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            sight = ObservedClaim(claim.observe(module, seed))
    except KeyboardInterrupt:
        raise
    except Failure as failure:
        sight = ObservedClaim(failure.seen or {RAISED: str(failure)}, str(failure))
    except BaseException as error:
        line, part = line_in(module, error), claim.component
        words = explain_error(error, part, is_gate=claim.gate, module=module)
        if line is not None and is_not_written(module, error):
            sight = ObservedClaim({}, f"{claim.component} is not written yet", line, False)
        else:
            # The wording of a refusal is the learner's own; other errors' operands are, too.
            own = is_own_refusal(module, error)
            told = "a refusal of its own" if own else " ".join(str(error).split())
            sight = ObservedClaim({RAISED: type(error).__name__, TAP + "words": told}, words, line)
    return replace(sight, seconds=time.perf_counter() - started)


def line_in(module: ModuleType, error: BaseException) -> int | None:
    """The innermost line of the module's file in an exception's traceback."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(module.__file__)]
    return lines[-1] if lines else None


def definition_line(module: ModuleType, part: str) -> int | None:
    """The first line of a part's code: for a class, of its forward."""
    found: Any = inspect.unwrap(getattr(module, part, lambda: None))
    found = inspect.unwrap(getattr(found, "forward", found))
    code = getattr(found, "__code__", None)
    if code is None or code.co_filename != str(module.__file__):
        return None
    return int(code.co_firstlineno)


def stand_in(
    module: ModuleType,
    written: Iterable[str],
    others: ModuleType | None = None,
    exercises: ExerciseSet = GPT2,
) -> None:
    """Replace all parts of a module but these with the reference's, in place.

    Other names of these parts, also in modules beside the file, and their places in tuples, lists,
    sets and dictionaries are replaced too: `isinstance(layer, NO_DECAY)` holds for the reference's
    layers.

    others: a module with the reference's other parts, which then use these; default: the
        reference, which is shared, and uses its own.
    """
    keep, source = set(written), others or reference(exercises)
    replaced: dict[int, Any] = {}
    for name in exercises.parts:
        if name not in keep and hasattr(source, name):
            replaced[id(getattr(module, name, source))] = getattr(source, name)
            setattr(module, name, getattr(source, name))
        elif others is not None and name in keep and hasattr(module, name):
            setattr(others, name, getattr(module, name))
    for each in _own_modules(module):
        for name, value in list(vars(each).items()):
            if not name.startswith("__"):
                setattr(each, name, _with_replaced(value, replaced))
    if not hasattr(module, "TransformerConfig") and hasattr(source, "TransformerConfig"):
        setattr(module, "TransformerConfig", source.TransformerConfig)  # noqa: B010


def _own_modules(module: ModuleType) -> list[ModuleType]:
    """A file's module, and those of its folder that define some of its names."""
    folder = Path(str(module.__file__)).parent
    names = {str(getattr(value, "__module__", None)) for value in vars(module).values()}
    found = [sys.modules[name] for name in sorted(names) if name in sys.modules]
    files = {each: Path(getattr(each, "__file__", None) or "/") for each in found}
    beside = [each for each, file in files.items() if file.is_relative_to(folder)]
    return [module, *(m for m in beside if "site-packages" not in files[m].parts and m != module)]


def _with_replaced(value: Any, replaced: Mapping[int, Any]) -> Any:
    """A value, or its elements if it is a collection, replaced where `replaced` has its id."""
    if id(value) in replaced:
        return replaced[id(value)]
    if type(value) is dict and any(id(each) in replaced for each in [*value, *value.values()]):
        swapped = {replaced.get(id(k), k): replaced.get(id(v), v) for k, v in value.items()}
        value.clear()
        value.update(swapped)
    elif type(value) in (tuple, list, set, frozenset) and any(id(v) in replaced for v in value):
        return type(value)(replaced.get(id(each), each) for each in value)
    return value
