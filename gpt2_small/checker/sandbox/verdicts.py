"""Answer requests to check a file: judge children's observations, and name mistakes.

This process runs no checked file. It is forked before any file runs.
"""

import json
import os
import socket
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from gpt2_small.checker import exercise_set, exercise_sets
from gpt2_small.checker.claims import Claim
from gpt2_small.checker.claims.judging.runner import JudgedClaim
from gpt2_small.checker.claims.modules.parameter_shapes import other_axes
from gpt2_small.checker.exercise_set import ExerciseSet
from gpt2_small.checker.layouts.judged_parts import LayoutRequest
from gpt2_small.checker.mistakes.lines.claim_lines import ClaimLines
from gpt2_small.checker.mistakes.lines.quoted_lines import quoted, quoted_error
from gpt2_small.checker.mistakes.lines.stages.reference_stages import has_the_stages
from gpt2_small.checker.mistakes.matching.naming import name_mistake
from gpt2_small.checker.sandbox.child_runner import LoadedFile, Observer, PartOutcome
from gpt2_small.checker.sandbox.limits import close_to_others
from gpt2_small.checker.sandbox.messages import read_frame, visible, write_frame
from gpt2_small.checker.sandbox.own_parts import HeldResults, failures, needed_parts
from gpt2_small.checker.sandbox.task import ChildTask, Limits
from gpt2_small.checker.variants import variant_set
from gpt2_small.checker.verdict import ABSENT, REMARK, STAND_INS, PartReport, Result, Status
from gpt2_small.errors import UserError

_MOST_ACCESSES = 50


class CheckRequest:
    """A file to check, with its results so far."""

    def __init__(self, fields: dict[str, Any], answers: int, forker: socket.socket) -> None:
        self.exercises = exercise_sets.find(fields["exercises"])
        self.parts: list[str] = fields["parts"]
        self.seed: int = fields["seed"]
        self.naming: bool = fields["naming"]
        task = ChildTask(
            Path(fields["path"]),
            fields["source"].encode("latin-1"),
            self.seed,
            Limits(**fields["limits"]),
            exercise_set.GPT2.name if self.exercises.is_variant else self.exercises.name,
            axes=self.exercises.axes,
            layout=fields["layout"],
            has_helpers=fields["has_helpers"],
        )
        self.layout = LayoutRequest(task, self.parts, fields["every_part"])
        task = replace(task, fixed=self.layout.fixed)
        self.answers = answers
        self.observer = Observer(forker, task, self.exercises, self.say_result, self.say_access)
        self.accesses: set[str] = set()
        self.passed: set[str] = set()
        self.named_ids: dict[str, tuple[str, ...]] = {}

    def say(self, **answer: Any) -> None:
        write_frame(self.answers, json.dumps(visible(answer)).encode())

    def say_result(self, result: Result) -> None:
        self.say(result=asdict(result))

    def say_access(self, access: str) -> None:
        """Send what the file accesses, once for each sentence."""
        sentence = access.partition(" (line ")[0]
        if sentence not in self.accesses and len(self.accesses) < _MOST_ACCESSES:
            self.accesses.add(sentence)
            self.say(access=access)

    def answer(self) -> None:
        """Check all parts; send each result at once, and each part when complete."""
        loaded = self.observer.load()
        error = loaded.error or self.layout.error(loaded.names)
        if error is not None:
            self.say(error=error)
            return
        for part in self.layout.parts:
            exercises = self.layout.exercises(part, self.exercises)
            judged, report = self.part(part, loaded, exercises)
            statuses = {one.result.status for one in judged}
            if statuses == {"passed"}:
                self.passed.add(part)
            self.layout.was_judged(part, statuses == {"passed"}, report.mistakes)
            if "failed" in statuses:
                self.named_ids[part] = report.mistakes
            results = [asdict(one.result) for one in judged]
            self.say(part=part, results=results, report=asdict(report))
        remarks = self.layout.remarks(self.passed, self.observer)
        self.say(remarks=[*remarks, *self.as_variant()])

    def as_variant(self) -> list[str]:
        """A remark that the file is the reference with the named edits, if it is.

        Without one if a single part fails and has a named mistake, which says enough.
        """
        ids = [one for mistakes in self.named_ids.values() for one in mistakes]
        task = self.observer.task
        is_explained = len(self.named_ids) == 1 and all(self.named_ids.values())
        if self.exercises is not exercise_set.GPT2 or not ids or is_explained:
            return []
        try:
            text = variant_set(tuple(ids)).reference_text()
        except UserError:
            return []
        if text.encode() != task.source:
            return []
        return [
            f"{task.path.name} is the reference with {', '.join(ids)}, and nothing else. If this "
            f"is intended: gpt2-small check {task.path} --as {','.join(ids)}"
        ]

    def part(
        self, part: str, loaded: LoadedFile, exercises: ExerciseSet | str
    ) -> tuple[list[JudgedClaim], PartReport]:
        """A part's results and report.

        exercises: the set to compare with, or the reason why the part waits.
        """
        if isinstance(exercises, str):
            results = [
                Result(part, claim.name, "waiting", message=exercises)
                for claim in self.claims(part, self.exercises)
            ]
            return [self.kept(JudgedClaim(result, {})) for result in results], PartReport()
        if part not in loaded.names:
            message = f"{ABSENT} {part}{loaded.hint(part, self.exercises.parts)}"
            results = [
                Result(part, claim.name, "not_written", message=message)
                for claim in self.claims(part, exercises)
            ]
            return [self.kept(JudgedClaim(result, {})) for result in results], PartReport()
        parts, outcome = self.alone(part, loaded, exercises)
        judged = [one.with_line(loaded.code_lines.get(part)) for one in outcome.judged]
        statuses = {one.result.status for one in judged}
        for claim in self.claims(part, exercises):
            if claim.together:
                judged += self.together(claim, parts, statuses)
        report = PartReport(printed=outcome.printed)
        if any(one.result.status == "failed" for one in judged) and self.naming:
            report = self.named(parts, judged, outcome.printed, exercises)
            report = self.layout.with_mistake_inside(report, part, judged, self.seed)
        return judged, report

    def alone(
        self, part: str, loaded: LoadedFile, exercises: ExerciseSet
    ) -> tuple[tuple[str, ...], PartOutcome]:
        """Judge a part with the reference's other parts; returns the file's parts in use.

        If it calls more of other parts than the contract states, the file's own are used in their
        place, and the outcome counts if more claims hold then.
        """
        claims = [claim for claim in self.claims(part, exercises) if not claim.together]
        held = HeldResults(self.say_result)
        observer = replace(self.observer, exercises=exercises, on_result=held.take)
        parts: tuple[str, ...] = (part,)
        outcomes = {parts: observer.look(parts, claims)}
        own = [] if self.layout.layout else [p for p in exercises.parts if p in loaded.names]
        while needed := needed_parts(outcomes[parts].judged, own, used=parts):
            parts = (*needed, *parts)
            outcomes[parts] = observer.look(parts, claims)
        best = min(outcomes, key=lambda parts: failures(outcomes[parts].judged))
        held.say(outcomes[best].judged)
        return best, outcomes[best]

    def claims(self, part: str, exercises: ExerciseSet) -> list[Claim]:
        """A part's claims; those about several parts only if all of them are checked."""
        return [
            claim
            for claim in exercises.claims(part)
            if set(claim.together) <= set(self.parts) and not self.layout.leaves_out(part, claim)
        ]

    def together(
        self, claim: Claim, needed: Sequence[str], statuses: set[Status]
    ) -> list[JudgedClaim]:
        """Judge a claim about a part with the file's other parts, if it passes alone.

        The reference replaces other parts that failed, so that a mistake fails only its own part.

        needed: the part, after those of the file that it cannot be called without.
        statuses: the results of the claims about the part alone.
        """
        part = needed[-1]
        if statuses == {"not_written"}:
            result = Result(part, claim.name, "not_written", message=f"{part} is not written yet")
            return [self.kept(JudgedClaim(result, {}))]
        if statuses != {"passed"}:
            result = Result(part, claim.name, "waiting", message=f"waits for {part}")
            return [self.kept(JudgedClaim(result, {}))]
        others = [p for p in claim.together if p != part]
        kept = {*self.passed, *needed}
        order: Sequence[str] = [p for p in others if p in kept] + [part]
        replaced = [p for p in others if p not in kept]
        judged = self.observer.look(order, [claim]).judged
        return [_with_stand_ins(one, replaced) for one in judged]

    def kept(self, judged: JudgedClaim) -> JudgedClaim:
        """Send a result that did not come from a child."""
        self.say_result(judged.result)
        return judged

    def named(
        self,
        parts: Sequence[str],
        judged: list[JudgedClaim],
        printed: str,
        exercises: ExerciseSet,
    ) -> PartReport:
        """The mistakes that explain the last part's observations, and its first wrong line.

        parts: those with the file's own code.
        """
        part = parts[-1]
        seen = {one.result.check: one.seen for one in judged if one.seen}
        failed = [one.result.check for one in judged if one.result.status == "failed"]
        is_traced = has_the_stages(part, self.seed, exercises)
        traces = self.observer.traces(parts) if is_traced else {}
        naming = name_mistake(part, seen, failed, self.seed, traces, exercises)
        source = self.observer.task.source
        places = ClaimLines(part, self.seed, traces, source, exercises, failed)
        location = places.first(judged)
        for index, one in enumerate(judged):
            if one.result.status != "failed":
                continue
            mistake = naming.blame(one.result.check)
            if mistake is not None:
                judged[index] = one = one.with_mistake(mistake)
            place = places.of(one)
            if place is None and one.result.check == failed[0] and location and not location.claim:
                place = location
            if place is not None:
                judged[index] = one.moved_to(place.differs)
        ids = tuple(mistake.id for mistake in naming.mistakes)
        lines = quoted(location, source) if location else quoted_error(judged, source)
        return PartReport(ids, naming.text, printed, lines)


def _with_stand_ins(judged: JudgedClaim, replaced: Sequence[str]) -> JudgedClaim:
    """A judged claim with a remark about the parts replaced by the reference."""
    if not replaced or judged.result.status != "passed":
        return judged
    names = replaced[0] if len(replaced) == 1 else f"{len(replaced)} parts, first {replaced[0]}"
    message = f"{REMARK}{STAND_INS} {names}"
    return replace(judged, result=replace(judged.result, message=message))


def serve(client: socket.socket, forker: socket.socket) -> None:
    """Answer requests until the client ends."""
    close_to_others()
    while (frame := read_frame(client.fileno())) is not None:
        request = CheckRequest(json.loads(frame), client.fileno(), forker)
        with other_axes(request.exercises.axes):
            request.answer()
        request.say(finished=True)
    os._exit(0)
