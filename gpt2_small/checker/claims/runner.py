"""Run the checks of a part on a loaded module, in this process, with nothing guarded."""

import inspect
import time
import traceback
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from types import ModuleType

import torch

from gpt2_small.checker.claims import Check, checks_of
from gpt2_small.checker.claims.failure import Failure
from gpt2_small.checker.claims.observation import TAP, Observation, first_difference
from gpt2_small.checker.explanations import explain_difference, explain_error
from gpt2_small.checker.mistakes.mistake import reference
from gpt2_small.checker.parts import PARTS
from gpt2_small.checker.verdict import Result, Status

RAISED = "raised"


@dataclass(frozen=True)
class Judged:
    """A check's result, and what it saw."""

    result: Result
    seen: Observation

    def with_mistake(self, mistake: str) -> "Judged":
        return Judged(replace(self.result, mistake=mistake), self.seen)

    def moved_to(self, line: int) -> "Judged":
        """The same with another line, when it failed."""
        if self.result.status != "failed":
            return self
        return Judged(replace(self.result, line=line), self.seen)

    def with_line(self, line: int | None) -> "Judged":
        """The same with a line, where a failed check knows none."""
        if self.result.status != "failed" or self.result.line is not None:
            return self
        return Judged(replace(self.result, line=line), self.seen)


@cache
def expected(check: Check, seed: int) -> Observation:
    """What a check must observe, found out once."""
    torch.default_generator.manual_seed(seed)
    return check.expected(reference(), seed)


def judge(module: ModuleType, part: str, seed: int = 0) -> list[Judged]:
    """Run all checks of a part on a module whose other parts are the reference's."""
    return list(judge_each(checks_of(part), module, seed))


def judge_each(checks: Iterable[Check], module: ModuleType, seed: int) -> Iterator[Judged]:
    """Run checks of one part, one after the other; behind a gate that does not hold, all wait."""
    gate: Result | None = None
    for check in checks:
        if gate is not None:
            yield Judged(behind(gate, check), {})
            continue
        judged = judge_one(check, module, seed)
        if check.gate and judged.result.status != "passed":
            gate = judged.result
        yield judged


def behind(gate: Result, check: Check) -> Result:
    """The result of a check whose gate did not hold."""
    if gate.status == "not_written":
        return Result(check.component, check.name, "not_written", message=gate.message)
    message = f"waits until this holds: {gate.check}"
    return Result(check.component, check.name, "waiting", message=message)


def judge_one(check: Check, module: ModuleType, seed: int) -> Judged:
    """Run one check."""
    started = time.perf_counter()
    seen, problem, line, written = look(check, module, seed)
    if problem is None:
        wanted = expected(check, seed)
        name = first_difference(seen, wanted)
        if name is not None:
            problem = explain_difference(name, seen.get(name), wanted.get(name))
            line = definition_line(module, check.component)
    status: Status = "passed" if problem is None else "failed" if written else "not_written"
    seconds = time.perf_counter() - started
    message = problem or ""
    return Judged(Result(check.component, check.name, status, None, message, seconds, line), seen)


def look(
    check: Check, module: ModuleType, seed: int
) -> tuple[Observation, str | None, int | None, bool]:
    """What a check sees; when it is stopped, the problem, its line, and whether it is written."""
    if not hasattr(module, check.component):
        return {}, f"the file has no {check.component}", None, False
    torch.default_generator.manual_seed(seed)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return check.observe(module, seed), None, None, True
    except KeyboardInterrupt:
        raise
    except Failure as failure:
        seen = failure.seen or {RAISED: str(failure)}
        return seen, str(failure), definition_line(module, check.component), True
    except BaseException as error:
        line = line_in(module, error)
        if isinstance(error, NotImplementedError) and line is not None:
            return {}, f"{check.component} is not written yet", line, False
        line = line or definition_line(module, check.component)
        words = explain_error(error)
        return {RAISED: type(error).__name__, TAP + "words": words}, words, line, True


def line_in(module: ModuleType, error: BaseException) -> int | None:
    """The innermost line of the module's file on the way to an exception."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(module.__file__)]
    return lines[-1] if lines else None


def definition_line(module: ModuleType, part: str) -> int | None:
    """Where a part's code begins: its forward, for a class."""
    found = inspect.unwrap(getattr(module, part))
    found = inspect.unwrap(getattr(found, "forward", found))
    code = getattr(found, "__code__", None)
    if code is None or code.co_filename != str(module.__file__):
        return None
    return int(code.co_firstlineno)


def stand_in(module: ModuleType, written: Iterable[str]) -> None:
    """Put the reference in the place of every part of a module but these, in place."""
    keep = set(written)
    for name in PARTS:
        if name not in keep:
            setattr(module, name, getattr(reference(), name))
    if not hasattr(module, "TransformerConfig"):
        setattr(module, "TransformerConfig", reference().TransformerConfig)  # noqa: B010
