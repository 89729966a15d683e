"""Run a file in children, and receive their observations, from the judge."""

import ast
import math
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from types import CodeType

from gpt2_small import notebooks
from gpt2_small.checker.claims import Claim
from gpt2_small.checker.claims.judging.runner import (
    RAISED,
    JudgedClaim,
    ObservedClaim,
    behind,
    judged,
)
from gpt2_small.checker.claims.observing.packing import unpack
from gpt2_small.checker.exercise_set import ExerciseSet
from gpt2_small.checker.layouts import LAYOUTS
from gpt2_small.checker.layouts.other_names import meant_by
from gpt2_small.checker.mistakes.edited_reference import code_without
from gpt2_small.checker.parts import PARTS
from gpt2_small.checker.sandbox.child_output import ForkedChild
from gpt2_small.checker.sandbox.task import ChildTask
from gpt2_small.checker.sandbox.tracing import Trace, cases_of
from gpt2_small.checker.sandbox.tracing import unpack as unpack_trace
from gpt2_small.checker.verdict import Result

_CRASHES = 3
_LONGEST = 2000
_FAKED = "it sent no valid observation"


@dataclass(frozen=True)
class LoadedFile:
    """The result of running a file: an error's sentence, or the names that it defines.

    source: its text.
    lines: the first line of each class and function.
    code_lines: the same, but for a class that of its `forward`.
    """

    error: str | None = None
    source: bytes = b""
    names: frozenset[str] = frozenset()
    lines: dict[str, int] = field(default_factory=dict)
    code_lines: dict[str, int] = field(default_factory=dict)

    def hint(self, part: str, parts: Sequence[str]) -> str:
        """A sentence about another name of the file that may stand for this part."""
        name = meant_by(part, [name for name in self.lines if name not in parts])
        if name is None:
            return ""
        return f"; {name} ({notebooks.place(self.source, self.lines[name])}) looks like it: " + (
            f"rename it to {part}, with the parameters of the contract"
            if part[0].isupper()
            else f"rename it to {part}"
        )


@dataclass
class PartOutcome:
    """A part's judged claims and printed output."""

    judged: list[JudgedClaim] = field(default_factory=list)
    printed: str = ""


@dataclass(frozen=True)
class Observer:
    """Runs a file in children of a forker."""

    forker: socket.socket
    task: ChildTask
    exercises: ExerciseSet
    on_result: Callable[[Result], None]
    on_access: Callable[[str], None] = lambda _: None

    def load(self) -> LoadedFile:
        """Run the file once; returns its error or its names."""
        limits = self.task.limits
        process = ForkedChild(self.forker, replace(self.task, work="load"))
        told, problem = None, ""
        try:
            told = process.read(limits.wall_seconds)
        except TimeoutError:
            pass
        except ValueError:
            problem = _FAKED
        self._end(process)
        error, names = (told or {}).get("error"), (told or {}).get("names")
        if told is None:
            line = process.line()
            where = f", {notebooks.place(self.task.source, line)}" if line else ""
            place = f"{self.task.path}{where}"
            how = problem or process.how_it_ended(limits.loading_seconds)
            error = f"{place}: while the file is run, {how}"
        process.close()
        if error is not None:
            return LoadedFile(str(error)[:_LONGEST])
        return LoadedFile(
            None,
            self.task.source,
            frozenset(map(str, names if isinstance(names, list) else [])),
            *definition_lines(self.task.source),
        )

    def look(self, parts: Sequence[str], claims: Sequence[Claim]) -> PartOutcome:
        """Judge claims about the last of these parts, in a child, or in more after a crash."""
        outcome, crashes = PartOutcome(), 0
        while len(outcome.judged) < len(claims):
            rest = claims[len(outcome.judged) :]
            stopped = self._look_at_some(parts, rest, outcome)
            if stopped is None:
                break
            crashes += 1
            seen = {RAISED: "the end of the process"}
            self._keep(outcome, JudgedClaim(stopped, seen))
            gate = claims[len(outcome.judged) - 1].gate
            if gate or crashes == _CRASHES or "within" in stopped.message:
                for later in claims[len(outcome.judged) :]:
                    self._keep(outcome, JudgedClaim(behind(stopped, later), {}))
        return outcome

    def proposal(self) -> tuple[str, list[str]] | None:
        """The layout that fits the file, with the fitting parts; None without one."""
        task = self.task.to("propose", (), self._others(()))
        process = ForkedChild(self.forker, task)
        try:
            told = process.read(self.task.limits.wall_seconds) or {}
            name, parts = str(told["layout"]), [str(part) for part in told["parts"]]
            return (name, [part for part in PARTS if part in parts]) if name in LAYOUTS else None
        except (TimeoutError, ValueError, KeyError, TypeError):
            return None
        finally:
            self._end(process)
            process.close()

    def traces(self, parts: Sequence[str]) -> dict[str, Trace]:
        """A part's traces by case, without failed ones."""
        process = ForkedChild(self.forker, self.task.to("trace", parts, self._others(parts)))
        found: dict[str, Trace] = {}
        try:
            for case in cases_of(parts[-1]):
                found[case] = unpack_trace(process.read_bytes(self.task.limits.wall_seconds) or b"")
        except (TimeoutError, ValueError):
            pass
        finally:
            self._end(process)
            process.close()
        return found

    def _end(self, process: ForkedChild) -> None:
        """End a child, and pass on what its file accessed."""
        process.end()
        for access in process.accesses:
            self.on_access(access)

    def _others(self, parts: Sequence[str]) -> CodeType:
        return code_without(tuple(parts), self.exercises)

    def _keep(self, outcome: PartOutcome, one: JudgedClaim) -> None:
        outcome.judged.append(one)
        self.on_result(one.result)

    def _look_at_some(
        self, parts: Sequence[str], claims: Sequence[Claim], outcome: PartOutcome
    ) -> Result | None:
        """Judge claims until the child ends; returns the claim that ended it, judged, if any."""
        all_claims = self.exercises.claims(parts[-1])
        numbers = tuple(all_claims.index(claim) for claim in claims)
        task = replace(self.task.to("look", parts, self._others(parts)), claims=numbers)
        process = ForkedChild(self.forker, task)
        left, gate = list(claims), None
        seconds, problem = task.limits.loading_seconds, ""
        try:
            while left and gate is None:
                claim = left[0]
                if process.read(task.limits.wall_seconds) is None:
                    break
                seconds = max(task.limits.seconds, claim.seconds)
                one = self._sight(process, claim, max(task.limits.wall_seconds, seconds))
                if one is None:
                    break
                self._keep(outcome, one)
                left.pop(0)
                gate = one.result if claim.gate and one.result.status != "passed" else None
        except TimeoutError:
            pass
        except (ValueError, RecursionError):
            problem = _FAKED
        self._end(process)
        outcome.printed = outcome.printed or process.prints()
        how, line = problem or process.how_it_ended(seconds), process.line()
        process.close()
        if gate is not None:
            for later in left:
                self._keep(outcome, JudgedClaim(behind(gate, later), {}))
            return None
        if not left:
            return None
        return Result(left[0].component, left[0].name, "failed", message=how, line=line)

    def _sight(self, process: ForkedChild, claim: Claim, wall_seconds: float) -> JudgedClaim | None:
        """A child's observation of a claim, judged; None if the child has ended."""
        told, data = process.read(wall_seconds), process.read_bytes(wall_seconds)
        if told is None or data is None:
            return None
        fields = told["sight"] if isinstance(told.get("sight"), dict) else {}
        problem, line, seconds = (fields.get(key) for key in ("problem", "line", "seconds"))
        sight = ObservedClaim(
            unpack(data),
            None if problem is None else str(problem)[:_LONGEST],
            line if type(line) is int else None,
            fields.get("written") is not False,
            seconds if isinstance(seconds, float) and 0 <= seconds < math.inf else 0.0,
        )
        return judged(claim, sight, self.task.seed, self.exercises)


def definition_lines(source: bytes) -> tuple[dict[str, int], dict[str, int]]:
    """The first line of each class and function of a file, and of each class's `forward`."""
    lines, code_lines = {}, {}
    for node in ast.parse(source).body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            inner = [n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "forward"]
            code = inner[0] if inner and isinstance(node, ast.ClassDef) else node
            lines[node.name] = node.lineno
            code_lines[node.name] = min([code.lineno, *(d.lineno for d in code.decorator_list)])
    return lines, code_lines
