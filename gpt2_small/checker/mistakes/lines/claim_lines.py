"""Find the lines behind failed claims."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property

from gpt2_small.checker.claims.judging.runner import RAISED, JudgedClaim
from gpt2_small.checker.claims.observing.observation import TAP
from gpt2_small.checker.exercise_set import GPT2, ExerciseSet
from gpt2_small.checker.mistakes.lines.effects import first_effect, function_lines
from gpt2_small.checker.mistakes.lines.effects.effect_comparison import of_kind, placed_at
from gpt2_small.checker.mistakes.lines.first_wrong_result import locate, other_shape, unlike
from gpt2_small.checker.mistakes.lines.location import Location
from gpt2_small.checker.mistakes.lines.non_output_lines import (
    in_given_function,
    non_output_line,
    only_line,
)
from gpt2_small.checker.mistakes.lines.only_statement import only_statement
from gpt2_small.checker.mistakes.lines.own_epsilon import epsilon_of
from gpt2_small.checker.mistakes.lines.returned_line import returned_at
from gpt2_small.checker.mistakes.lines.unused_results import in_place_of
from gpt2_small.checker.mistakes.matching.drawn_rows import draws_from_logits
from gpt2_small.checker.parts import PARTS
from gpt2_small.checker.sandbox.tracing import FLOAT32, Trace
from gpt2_small.checker.sandbox.tracing.record_part import (
    GREEDY,
    NO_GENERATOR,
    UNUSED_GENERATOR,
    draws_of,
    sampled,
)

# Parts whose effects matter for claims of any group.
_FUNCTIONS = tuple(part for part in PARTS if part[0].islower())
# Cases with compared results; the others have effects.
_OF_EFFECTS = ("options", "infinite loss", "infinite gradient", NO_GENERATOR, "dropout",
               "too long")  # fmt: skip


# Exceptions of the line that raises them, whatever the numbers are.
_OF_THE_LINE = ("TypeError", "AttributeError", "NameError", "UnboundLocalError")


class ClaimLines:
    """The lines of a part behind failed claims.

    traces: traces by case; empty if the part should not have the reference's results. failed: the
        failed claims.
    """

    def __init__(
        self,
        part: str,
        seed: int,
        traces: Mapping[str, Trace],
        source: bytes,
        exercises: ExerciseSet = GPT2,
        failed: Iterable[str] = (),
    ) -> None:
        # Without the contract's parameters, values could not be loaded.
        self._has_other_names = any("names and shapes" in name for name in failed)
        self._part, self._seed = part, seed
        self._traces = traces
        self._source = source
        self._text = source.decode("utf-8", errors="replace")
        self._groups = {claim.name: claim.group for claim in exercises.claims(part)}

    def of(self, one: JudgedClaim) -> Location | None:
        """The first line behind a failed claim; None if unknown."""
        found = self._observed(one)
        if found is None and TAP + "words" not in one.seen:
            result = one.result
            line = only_statement(self._part, result.check, result.message, self._text)
            found = None if line is None else Location(None, "", line, "")
        return found

    def _observed(self, one: JudgedClaim) -> Location | None:
        """The line that the traces show; of state, taps and devices, that of the text."""
        group = self._groups.get(one.result.check, "")
        if RAISED in one.seen and group != "state":
            return self._of_raised(one)
        if self._has_other_names and group not in ("state", "initialisation"):
            return None
        if group == "chance" and "generator" in one.result.check:
            return self._without_generator() or self._located or self._own_generator
        if self._part == "generate" and group == "dropout":
            return self._of_mode(one.result.message) or self._located
        if self._part == "sample" and "temperature 0" in one.result.check:
            return self._at_zero or self._located
        if self._part == "sample" and "one token for each row" in one.result.check:
            return self._without_options() or self._located
        if "config.layer_norm_eps" in one.result.check and (own := self._own_number()):
            return own
        if group == "function" or (self._part in _FUNCTIONS and group != "inputs"):
            return self._located or self._other_shape(one) or self._overflowing(one)
        message = one.result.message
        line = non_output_line(group, self._part, self._seed, message, self._traces, self._text)
        if line is None and group == "gradient" and "" in self._traces:
            found = unlike(self._part, self._seed, self._traces[""])
            line = None if found is not None else only_line(self._traces[""])
            if line is None:
                return found
        return None if line is None else Location(None, "", line, "")

    def _of_mode(self, message: str) -> Location | None:
        """The line of generate behind a wrong mode of the model."""
        trace = self._traces.get("options")
        if trace is None:
            return None
        left_in = next((m for m in ("training", "evaluation") if f" is {m};" in message), None)
        return function_lines.mode(self._seed, trace, self._source, left_in)

    def _other_shape(self, one: JudgedClaim) -> Location | None:
        """The line that returns the right numbers in another shape, if a claim failed so."""
        is_shape = " has the shape " in one.result.message
        if not is_shape or self._part in _FUNCTIONS or "" not in self._traces:
            return None
        return other_shape(self._part, self._seed, self._traces[""])

    def _overflowing(self, one: JudgedClaim) -> Location | None:
        """The logarithm, or the exponential, of a loss that is wrong for large logits alone."""
        if self._part != "next_token_loss" or "very large logits" not in one.result.check:
            return None
        events = self._traces.get("", Trace()).events
        lines = {e.operation: e.line for e in events if e.operation in ("exp", "log") and e.inputs}
        line = lines.get("log", lines.get("exp"))
        return None if line is None else Location(None, "", line, "")

    def _without_generator(self) -> Location | None:
        """The first draw of sample if it leaves the given generator unused."""
        drawn = of_kind(self._traces.get("", Trace()), UNUSED_GENERATOR)
        said = "it does not draw from the given generator"
        return placed_at(drawn[0].line, said) if drawn else None

    def _own_number(self) -> Location | None:
        """The line that sets the number that the first wrong line uses for the configuration's."""
        if self._located is None:
            return None
        line = epsilon_of(self._part, self._text, self._located.differs)
        return None if line is None else placed_at(line, "this number is not the configuration's")

    def _without_options(self) -> Location | None:
        """The line of sample that returns something else than tokens if it is given no option."""
        trace = self._traces.get(NO_GENERATOR, Trace())
        found = function_lines.other_shape(trace, len(sampled(self._seed)))
        returned = None if draws_of(trace) else returned_at(self._part, trace, self._text)
        return found if found is None or returned is None else replace(found, differs=returned)

    @cached_property
    def _own_generator(self) -> Location | None:
        """The line that makes sample a generator where none was given."""
        trace = self._traces.get(NO_GENERATOR, Trace())
        return first_effect.located(self._part, self._seed, trace, NO_GENERATOR, self._source)

    def _of_raised(self, one: JudgedClaim) -> Location | None:
        """The line behind an interrupted claim: of an earlier wrong effect, or the return."""
        if self._part in ("sample", "generate"):
            if one.seen[RAISED] in _OF_THE_LINE or self._draws_from_logits():
                return None
            return None if self._stops_before(one, self._located) else self._located
        if self._part == "learning_rate" and TAP + "words" in one.seen:
            return None  # an exception has a line of its own
        if self._part == "learning_rate" and self._traces and self._traces[""].events:
            return Location(None, "", _of_rate(self._traces[""], one.result.message), "")
        is_result = re.search("returns|where a tensor is needed", one.result.message)
        if is_result and (trace := self._traces.get("")) is not None:
            line = returned_at(self._part, trace, self._text)
            return None if line is None else Location(None, "", line, "")
        return None

    def _draws_from_logits(self) -> bool:
        """Whether sample ends in a draw from negative numbers, which the draw's line explains."""
        trace = self._traces.get("")
        return self._part == "sample" and trace is not None and draws_from_logits(trace)

    def _stops_before(self, one: JudgedClaim, found: Location | None) -> bool:
        """Whether an exception ends sample above a located line, which then is not its reason."""
        if self._part != "sample" or one.result.line is None or found is None:
            return False
        return found.differs > one.result.line

    def first(self, judged: Iterable[JudgedClaim]) -> Location | None:
        """The location to quote: of wrong names and shapes, else of the function, else any."""
        failed = [one for one in judged if one.result.status == "failed"]
        first = "state" if self._has_other_names else "function"
        failed.sort(key=lambda one: self._groups.get(one.result.check) != first)
        for one in failed:
            found = self.of(one)
            if found is not None:
                claims = [self._groups.get(each.result.check) for each in (failed[0], one)]
                is_other = claims[0] != claims[1] or (
                    one is not failed[0] and RAISED in failed[0].seen
                )
                return replace(found, claim=one.result.check) if is_other else found
        return None

    @cached_property
    def _at_zero(self) -> Location | None:
        """The first draw of sample at temperature 0, else the first wrong result."""
        trace = self._traces.get(GREEDY, Trace())
        if trace.output is None:
            return None
        if draws := draws_of(trace):
            return placed_at(draws[0].line, "it draws at temperature 0")
        return locate(self._part, self._seed, trace, GREEDY, self._text)

    @cached_property
    def _located(self) -> Location | None:
        """The first difference from the reference, or an unused result before it."""
        found, trace = self._first_difference, self._traces.get("")
        if trace is None or self._part in _BY_EFFECT_ALONE:
            return found
        return in_place_of(found, self._part, self._seed, trace, self._text)

    @cached_property
    def _first_difference(self) -> Location | None:
        """The first difference from the reference, in the first case with one."""
        part, seed = self._part, self._seed
        for case, trace in self._traces.items():
            if case == NO_GENERATOR:
                continue
            seen = function_lines.without_mode(trace) if part == "generate" else trace
            found = first_effect.located(part, seed, seen, case, self._source)
            if found is not None:
                return found
        for case, trace in self._traces.items():
            if case not in _OF_EFFECTS and part not in _BY_EFFECT_ALONE:
                # What is recorded in float32 is close to the reference's float64 where it is right.
                usual = "" if case == FLOAT32 else case
                found = locate(part, seed, trace, usual, self._text)
                if found is not None:
                    return self._or_its_call(found)
        return None

    def _or_its_call(self, found: Location) -> Location:
        """The line that calls a given function, if the first wrong result is inside of it."""
        if found.called is None or not in_given_function(self._text, found.differs):
            return found
        return replace(found, differs=found.called, called=None)


def _of_rate(rates: Trace, message: str) -> int:
    """The line that returned the rate of a message's step, or the last executed one."""
    step = re.search(r"the rate of (step \d+)", message)
    returned = (event.line for event in rates.events if step and event.operation == step[1])
    at = next(returned, None)
    return at or (rates.last_lines[-1] if rates.last_lines else rates.events[0].line)


_BY_EFFECT_ALONE = ("train_step", "train", "parameter_groups", "learning_rate")
