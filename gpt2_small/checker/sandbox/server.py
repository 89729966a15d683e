"""The warm process that forks a child for every part of a file, and names mistakes.

Started by `worker.Checker`, spoken to through standard input and output. It runs no line of the
checked file itself.
"""

import json
import os
import signal
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from gpt2_small.checker.claims import Check, checks_of
from gpt2_small.checker.claims.runner import RAISED, Judged, expected
from gpt2_small.checker.mistakes.matching import name_mistake
from gpt2_small.checker.mistakes.pointing import locate, quoted
from gpt2_small.checker.sandbox.child import Loaded, load_in_child, run_in_child
from gpt2_small.checker.sandbox.messages import read_frame, write_frame
from gpt2_small.checker.sandbox.process import Task
from gpt2_small.checker.sandbox.tracing import Trace
from gpt2_small.checker.verdict import PartReport, Result, Status


class Request:
    """A file to check, and what is known of it so far."""

    def __init__(self, fields: dict[str, Any], answers: int) -> None:
        self.parts: list[str] = fields["parts"]
        self.seed: int = fields["seed"]
        self.naming: bool = fields["naming"]
        self.task = Task(
            Path(fields["path"]), fields["source"].encode("latin-1"), self.seed, **fields["limits"]
        )
        self.answers = answers
        self.passed: set[str] = set()

    def say(self, **answer: Any) -> None:
        write_frame(self.answers, json.dumps(answer).encode())

    def say_result(self, result: Result) -> None:
        self.say(result=asdict(result))

    def answer(self) -> None:
        """Check all parts; say each result as it comes, and each part when it is done."""
        loaded = load_in_child(self.task)
        if loaded.error is not None:
            self.say(error=loaded.error)
            return
        for part in self.parts:
            judged, report = self.part(part, loaded)
            if all(one.result.status == "passed" for one in judged):
                self.passed.add(part)
            self.say(
                part=part,
                results=[asdict(one.result) for one in judged],
                report={
                    "naming": report.naming,
                    "printed": report.printed,
                    "location": report.location,
                },
                mistakes=report.mistakes,
            )

    def part(self, part: str, loaded: Loaded) -> tuple[list[Judged], PartReport]:
        """A part's results, and what is said of it."""
        if part not in loaded.names:
            message = f"the file has no {part}{loaded.hint(part)}"
            results = [
                Result(part, check.name, "not_written", message=message)
                for check in self.checks(part)
            ]
            return [self.kept(Judged(result, {})) for result in results], PartReport()
        alone = [check for check in self.checks(part) if not check.together]
        for check in alone:
            expected(check, self.seed)
        outcome = run_in_child(self.task, (part,), alone, self.say_result)
        judged = [one.with_line(loaded.lines.get(part)) for one in outcome.judged]
        statuses = {one.result.status for one in judged}
        for check in self.checks(part):
            if check.together:
                judged += self.together(check, part, statuses)
        report = PartReport(printed=outcome.printed)
        if any(one.result.status == "failed" for one in judged) and self.naming:
            report = self.named(part, judged, outcome.trace, outcome.printed)
        return judged, report

    def checks(self, part: str) -> list[Check]:
        """A part's checks; those of several parts together only when all of them are checked."""
        return [check for check in checks_of(part) if set(check.together) <= set(self.parts)]

    def together(self, check: Check, part: str, statuses: set[Status]) -> list[Judged]:
        """A check of several parts, when all of them hold by themselves.

        statuses: of the part's checks by itself.
        """
        if statuses == {"not_written"}:
            result = Result(part, check.name, "not_written", message=f"{part} is not written yet")
            return [self.kept(Judged(result, {}))]
        others = [p for p in check.together if p != part and p not in self.passed]
        missing = others if statuses == {"passed"} else [*others, part]
        if missing:
            listed = (
                missing[0] if len(missing) == 1 else f"{len(missing)} parts, first {missing[0]}"
            )
            result = Result(check.component, check.name, "waiting", message=f"waits for {listed}")
            return [self.kept(Judged(result, {}))]
        expected(check, self.seed)
        return run_in_child(self.task, check.together, [check], self.say_result).judged

    def kept(self, judged: Judged) -> Judged:
        """Say a result that no child has said."""
        self.say_result(judged.result)
        return judged

    def named(
        self, part: str, judged: list[Judged], trace: Trace | None, printed: str
    ) -> PartReport:
        """The mistakes that the observations are those of, and the line where they begin."""
        seen = {one.result.check: one.seen for one in judged if one.seen}
        failed = [one.result.check for one in judged if one.result.status == "failed"]
        naming = name_mistake(part, seen, failed, self.seed, trace)
        function = [check.name for check in self.checks(part) if check.group == "function"]
        is_wrong = not set(function).isdisjoint(failed)
        location = locate(part, self.seed, trace) if trace is not None and is_wrong else None
        for index, one in enumerate(judged):
            mistake = naming.blame(one.result.check)
            if location is not None and one.result.check in function and RAISED not in one.seen:
                judged[index] = one = one.moved_to(location.differs)
            if one.result.status == "failed" and mistake is not None:
                judged[index] = one.with_mistake(mistake)
        ids = tuple(mistake.id for mistake in naming.mistakes)
        return PartReport(
            ids, naming.text, printed, quoted(location, self.task.source) if location else ()
        )


def main() -> None:
    """Answer requests until there are no more."""
    requests, answers = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(nothing, descriptor)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    while (frame := read_frame(requests)) is not None:
        request = Request(json.loads(frame), answers)
        request.answer()
        request.say(finished=True)


if __name__ == "__main__":
    main()
