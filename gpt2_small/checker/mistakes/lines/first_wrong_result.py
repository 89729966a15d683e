"""Find the line of a part's first wrong result, and describe the difference."""

from dataclasses import replace

from gpt2_small.checker.claims.judging.runner import reference
from gpt2_small.checker.mistakes.lines.location import NOTHING_RIGHT, OTHER_SHAPE, Location
from gpt2_small.checker.mistakes.lines.misplaced_stages import (
    fed_too_early,
    late_temperature,
    lost_tokens,
    merged_backwards,
    mixed_heads,
    overwritten,
    unfinished,
)
from gpt2_small.checker.mistakes.lines.result_differences import difference_of, is_product_of
from gpt2_small.checker.mistakes.lines.returned_line import returned_at
from gpt2_small.checker.mistakes.lines.stages.masks import wrong_mask
from gpt2_small.checker.mistakes.lines.stages.reference_stages import stages, steps_of_other_styles
from gpt2_small.checker.mistakes.lines.stages.stage import numbers_of, same
from gpt2_small.checker.mistakes.lines.stages.trace_comparison import (
    TraceComparison,
    leading_to_output,
)
from gpt2_small.checker.mistakes.lines.swapped_names import swapped_names
from gpt2_small.checker.sandbox.tracing import Trace, record
from gpt2_small.checker.sandbox.tracing.record_part import draws_of

_MASKING = ("MultiHeadAttention", "TransformerBlock", "Transformer")

# An added epsilon changes a multiple by less.
_SMALLEST_FACTOR = 1e-3


def locate(part: str, seed: int, trace: Trace, case: str = "", source: str = "") -> Location | None:
    """The location of a part's first wrong result; None without one.

    source: the file's text, for the names of its variables.
    """
    steps = () if case else steps_of_other_styles(part, seed)
    compared = TraceComparison(stages(part, seed, case), trace, part, steps)
    if compared.wrong and (swapped := swapped_names(compared, source, compared.wrong[0])):
        return swapped
    pointer = _FirstWrongResult(compared, source)
    return pointer.location() or (None if case else pointer.not_drawn())


def other_shape(part: str, seed: int, trace: Trace) -> Location | None:
    """The line of an output that is right but for the order or the merging of its axes."""
    compared = TraceComparison(stages(part, seed), trace, part)
    output = trace.output
    if output is None or compared.wrong or not compared.is_right(output):
        return None
    found, value = compared.matches[output], trace.events[output].value
    if found is None or value is None or found.stage.value.shape == value.shape:
        return None
    return Location(None, "", trace.events[output].line, OTHER_SHAPE, value)


def locate_number(part: str, seed: int, trace: Trace, output: int) -> Location | None:
    """The first wrong result among an event's direct and indirect inputs."""
    known = [stage for stage in stages(part, seed) if stage.value.numel() == 1]
    leading = leading_to_output(replace(trace, output=output))
    events = [
        event
        if index in leading and event.value is not None and event.value.numel() == 1
        else replace(event, value=None)
        for index, event in enumerate(trace.events[: output + 1])
    ]
    return _FirstWrongResult(TraceComparison(known, Trace(events, output), part)).location()


def unlike(part: str, seed: int, trace: Trace) -> Location | None:
    """The first result that replaces a named stage of the reference, even if right ones follow."""
    return _FirstWrongResult(TraceComparison(stages(part, seed), trace, part)).replaced()


def misplaced_dropout(part: str, seed: int, trace: Trace) -> list[int]:
    """Lines with dropout at stages without it in the reference."""
    known = stages(part, seed)
    usual = [
        stage
        for stage, _ in TraceComparison(known, record(reference(), part, seed), part).dropped()
    ]
    compared = TraceComparison(known, trace, part)
    misplaced = [
        line
        for stage, line in compared.dropped()
        if not any(same(stage.numbers, other.numbers) for other in usual)
    ]
    return misplaced or compared.dropped_elsewhere()


class _FirstWrongResult:
    """Chooses the line to quote from a compared trace."""

    def __init__(self, compared: TraceComparison, source: str = "") -> None:
        self.compared, self.source = compared, source

    def replaced(self) -> Location | None:
        """The first result that replaces a named stage of the reference."""
        for index, event in enumerate(self.compared.trace.events):
            if self.compared.matches[index] is not None or not self.compared.is_judged(index):
                continue
            said = difference_of(self.compared, index)
            if said.endswith("here"):
                return Location(*self.compared.last_right(index), event.line, said, event.value)
        return None

    def location(self) -> Location | None:
        """The first wrong line, and the last right one."""
        if not self.compared.wrong:
            return None
        events = self.compared.trace.events
        index = self._last_multiple(self._first())
        for misplaced in (
            overwritten,
            mixed_heads,
            merged_backwards,
            fed_too_early,
            late_temperature,
            lost_tokens,
        ):
            if (other := misplaced(self.compared, index)) is not None:
                return other
        right = self.compared.last_right(index)
        value, called = events[index].value, events[index].called
        mask = wrong_mask(self.compared.trace, index) if self.compared.part in _MASKING else None
        if mask is not None:
            return Location(*right, mask.line, "this mask is not the causal one", value)
        if self.compared.is_short and index == self.compared.trace.output:
            found = self.compared.matches[index]
            assert found is not None
            said = f"the part returns {found.stage.name}, not the output itself"
            returned = returned_at(self.compared.part, self.compared.trace, self.source)
            line = returned or events[self.compared.maker(index)].line
            return Location(None, "", line, said, value)
        if (step := unfinished(self.compared, index)) is not None:
            made, name, wanted = step
            line = made.called or made.line  # a helper may be right in another call
            return Location(None, "", line, f"{name}, used in place of {wanted}", value)
        how = difference_of(self.compared, index)
        is_repeated = how == NOTHING_RIGHT and self._is_right_elsewhere(index)
        return Location(*right, events[index].line, how, value, called=called,
                        is_repeated=is_repeated)  # fmt: skip

    def _is_right_elsewhere(self, wrong: int) -> bool:
        """Whether the operation of a wrong result is run again by its line, with a right result."""
        events = self.compared.trace.events
        return any(
            (event.line, event.operation) == (events[wrong].line, events[wrong].operation)
            and self.compared.is_judged(index)
            and index not in self.compared.wrong
            for index, event in enumerate(events)
        )

    def not_drawn(self) -> Location | None:
        """The line of sample that returns what is not drawn at all."""
        events, output = self.compared.trace.events, self.compared.trace.output
        is_drawn = bool(draws_of(self.compared.trace))
        if self.compared.d_vocab is None or output is None or is_drawn:
            return None
        said = "it returns tokens that are not drawn"
        return Location(None, "", events[output].line, said, events[output].value, True)

    def _first(self) -> int:
        """The first wrong result that is not, in right parts of other styles, a step to another."""
        events, wrong = self.compared.trace.events, self.compared.wrong
        chosen = wrong[0]
        while self._is_of_other_style(chosen):
            users = (index for index in wrong if chosen in events[index].inputs)
            following = next(
                (i for i in users if self._joins(i) or self._is_of_other_style(i)), None
            )
            if following is None:
                break
            leading = leading_to_output(replace(self.compared.trace, output=following))
            others = [i for i in wrong if i in leading and not self._is_of_other_style(i)]
            chosen = min(others, default=following)
        return chosen

    def _is_of_other_style(self, index: int) -> bool:
        value, found = self.compared.trace.events[index].value, self.compared.matches[index]
        if found is not None and found.kind != "scaled":
            return False
        return value is not None and any(
            same(numbers_of(value), numbers_of(step))
            for step in self.compared.other_steps
            if step.numel() == value.numel()
        )

    def _joins(self, index: int) -> bool:
        """Whether a result is made of several that depend on the part's input."""
        events = self.compared.trace.events
        return sum(events[source].from_data for source in events[index].inputs) > 1

    def _last_multiple(self, chosen: int) -> int:
        """Of a chain of multiples of stages the last that changes by how much."""
        while (following := self._next_multiple(chosen)) is not None:
            chosen = following
        for index in [index for index in self.compared.wrong if index > chosen]:
            a, b = self.compared.matches[chosen], self.compared.matches[index]
            if not (a and b and a.kind == b.kind == "scaled"):
                break
            if not ("scores" in a.stage.name and "scores" in b.stage.name):
                break
            if abs(a.factor - b.factor) > 1e-6 * abs(a.factor):
                chosen = index
        return chosen

    def _next_multiple(self, chosen: int) -> int | None:
        """Of a multiple of a stage the next, computed from it, which differs by a factor."""
        a = self.compared.matches[chosen]
        if a is None or a.kind != "scaled" or is_product_of(self.compared, a.stage, chosen):
            return None
        for index in self.compared.wrong:
            b = self.compared.matches[index]
            if b is None or b.stage is not a.stage or b.kind == "right":
                continue
            is_next = chosen in self.compared.trace.events[index].inputs
            if is_next and abs(a.factor - b.factor) > _SMALLEST_FACTOR * abs(a.factor):
                return index
        return None
