"""Find the line of a part's first wrong result, and describe the difference."""

from collections.abc import Sequence
from dataclasses import replace

from gpt2_small.checker.claims.judging.runner import reference
from gpt2_small.checker.mistakes.lines.location import Location
from gpt2_small.checker.mistakes.lines.stages.masks import wrong_mask
from gpt2_small.checker.mistakes.lines.stages.reference_stages import (
    NAMES,
    PLURAL,
    WITHIN,
    Stage,
    numbers_of,
    same,
    stages,
    steps_of_other_styles,
)
from gpt2_small.checker.mistakes.lines.stages.trace_comparison import (
    TraceComparison,
    leading_to_output,
)
from gpt2_small.checker.mistakes.lines.swapped_names import swapped_names
from gpt2_small.checker.parts import PARTS
from gpt2_small.checker.sandbox.tracing import Trace, record
from gpt2_small.checker.sandbox.tracing.record_part import DRAWS

# Operations whose inputs should be complete stages.
_CONSUMERS = ("einsum", "matmul", "bmm", "__matmul__", "linear", "scaled_dot_product_attention",
              "gelu", "relu", "silu", "tanh", "sigmoid", "softmax")  # fmt: skip

_MASKING = ("MultiHeadAttention", "TransformerBlock", "Transformer")

# Operations that compute several stages of the reference in one call.
_COMPUTED_AT_ONCE = {
    "layer_norm": "the whole normalization",
    "scaled_dot_product_attention": "the scores, the pattern and z",
}

# An added epsilon changes a multiple by less.
_SMALLEST_FACTOR = 1e-3

# The stages that the reference passes to inner parts of a Transformer.
_FED = {"TransformerBlock": NAMES["residual"]}


def locate(part: str, seed: int, trace: Trace, case: str = "", source: str = "") -> Location | None:
    """The location of a part's first wrong result; None without one.

    source: the file's text, for the names of its variables.
    """
    steps = () if case else steps_of_other_styles(part, seed)
    compared = TraceComparison(stages(part, seed, case), trace, part, steps)
    if compared.wrong and (swapped := swapped_names(compared, source, compared.wrong[0])):
        return swapped
    pointer = _FirstWrongResult(compared)
    return pointer.location() or (None if case else pointer.not_drawn())


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
    return [
        line
        for stage, line in TraceComparison(known, trace, part).dropped()
        if not any(same(stage.numbers, other.numbers) for other in usual)
    ]


class _FirstWrongResult:
    """Chooses the line to quote from a compared trace."""

    def __init__(self, compared: TraceComparison) -> None:
        self.compared = compared

    def replaced(self) -> Location | None:
        """The first result that replaces a named stage of the reference."""
        for index, event in enumerate(self.compared.trace.events):
            if self.compared.matches[index] is not None or not self.compared.is_judged(index):
                continue
            said = self._how(index)
            if said.endswith("here"):
                return Location(*self.compared.last_right(index), event.line, said, event.value)
        return None

    def location(self) -> Location | None:
        """The first wrong line, and the last right one."""
        if not self.compared.wrong:
            return None
        events = self.compared.trace.events
        index = self._last_multiple(self._first())
        if (other := self._mixed_heads(index) or self._fed_too_early(index)) is not None:
            return other
        right = self.compared.last_right(index)
        value, called = events[index].value, events[index].called
        mask = wrong_mask(self.compared.trace, index) if self.compared.part in _MASKING else None
        if mask is not None:
            return Location(*right, mask.line, "this mask is not the causal one", value)
        if self.compared.is_short and index == self.compared.trace.output:
            found = self.compared.matches[index]
            assert found is not None
            said = f"the returned value is {found.stage.name}, which is not the final result"
            return Location(None, "", events[self.compared.maker(index)].line, said, value)
        if (step := self._unfinished(index)) is not None:
            line, name, wanted = step
            return Location(None, "", line, f"{name}, which never become{wanted}", value)
        how = self._how(index)
        return Location(*right, events[index].line, how, value, called=called)

    def not_drawn(self) -> Location | None:
        """The line of sample that returns what is not drawn at all."""
        events, output = self.compared.trace.events, self.compared.trace.output
        is_drawn = any(event.operation in DRAWS for event in events)
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
        if a is None or a.kind != "scaled":
            return None
        for index in self.compared.wrong:
            b = self.compared.matches[index]
            if b is None or b.stage is not a.stage or b.kind == "right":
                continue
            is_next = chosen in self.compared.trace.events[index].inputs
            if is_next and abs(a.factor - b.factor) > _SMALLEST_FACTOR * abs(a.factor):
                return index
        return None

    def _mixed_heads(self, index: int) -> Location | None:
        """The location where one head's part is used with that of another, or of all."""
        sources = self.compared.sources(index)
        heads = {source: self.compared.matches[source].head for source in sources}  # type: ignore[union-attr]
        event = self.compared.trace.events[index]
        if event.operation in ("expand", "expand_as", "repeat", "broadcast_to"):
            heads[-1] = None  # one head's part replaces all
        elif len(set(heads.values())) < 2 or event.operation not in _CONSUMERS:
            return None
        for source in self.compared.sources(index):
            head = heads[source]
            maker = self.compared.trace.events[self.compared.maker(source)]
            others = [other for other in heads.values() if other != head]
            before = [
                i
                for i in range(source)
                if self.compared.trace.events[i].line == maker.line
                and self.compared.is_right(i)
                and self.compared.is_the_same(i, source)
            ]
            if head is not None and (None in others or before):
                name = self.compared.matches[source].stage.name  # type: ignore[union-attr]
                said = f"{name} of one head, where those of {_all_or_another(others)} belong"
                return Location(None, "", maker.line, said, maker.value)
        return None

    def _fed_too_early(self, index: int) -> Location | None:
        """The location of an inner part's input that is an earlier stage than in the reference."""
        event = self.compared.trace.events[index]
        if event.operation not in PARTS or not self.compared.sources(index):
            return None
        source = self.compared.sources(index)[0]
        given = self.compared.matches[source]
        assert given is not None
        names = [stage.name for stage in self.compared.known if stage.is_named]
        wanted = _FED.get(event.operation)
        seen = {
            m.stage.name
            for i, m in enumerate(self.compared.matches)
            if m and self.compared.is_right(i)
        }
        is_given = given.stage.name.removeprefix(WITHIN) == wanted
        if wanted is None or wanted not in names or wanted in seen or is_given:
            return None
        line = self.compared.trace.events[source].line
        said = f"{event.operation} is given {given.stage.name}, and not {wanted}"
        return Location(None, "", line, said, event.value)

    def _unfinished(self, index: int) -> tuple[int, str, str] | None:
        """A step towards a missing named stage among a wrong result's inputs.

        Its line, its name, and the end of a sentence about the missing stage.
        """
        if self.compared.trace.events[index].operation not in _CONSUMERS:
            return None
        seen = {
            m.stage.name
            for i, m in enumerate(self.compared.matches)
            if m and self.compared.is_right(i)
        }
        missing = [s for s in self.compared.known if s.is_named and s.name not in seen]
        names = [stage.name for stage in missing]
        bases: list[str] = []
        for source in self.compared.sources(index):
            found = self.compared.matches[source]
            assert found is not None
            name = found.stage.name
            base = name.removeprefix(WITHIN)
            line = self.compared.trace.events[self.compared.maker(source)].line
            if base != name and base in names and base not in ("the output", NAMES["output"]):
                return line, name, f"s {base}"
            is_again = bool(names) and base in seen and (base != name or base in bases)
            if is_again and found.stage.value.numel() == missing[0].value.numel():
                return line, name, f"s {names[0]}"
            bases.append(base)
        return None

    def _how(self, index: int) -> str:
        """Describe the difference of the first wrong result."""
        found = self.compared.matches[index]
        if found is not None and found.kind == "scaled":
            if self._is_product_of(found.stage, index):
                return f"it multiplies {found.stage.name} by {found.factor:.4g}"
            what = "they" if found.stage.name.endswith(PLURAL) else "it"
            return f"{found.stage.name}, {found.factor:.4g} times what {what} should be"
        if found is not None and found.kind == "scrambled":
            return f"the numbers of {found.stage.name}, in the wrong order"
        computed = _COMPUTED_AT_ONCE.get(self.compared.trace.events[index].operation)
        if computed is not None:
            return f"it computes {computed} in one call, with another result than the reference's"
        here = self._missing(index)
        if here is None:
            return "nothing that is computed from it is right"
        return f"the reference has {here.name} here"

    def _is_product_of(self, stage: Stage, index: int) -> bool:
        """Whether a right result among a wrong one's inputs already is this stage."""
        given = (self.compared.matches[source] for source in self.compared.sources(index))
        return any(one is not None and one.stage is stage for one in given)

    def _missing(self, index: int) -> Stage | None:
        """The named stage in whose place a result stands: one of its size that is not seen."""
        value = self.compared.trace.events[index].value
        seen = {id(m.stage) for m in self.compared.matches if m is not None and m.kind == "right"}
        missing = (
            stage
            for stage in self.compared.known
            if stage.is_named and not stage.is_extra and id(stage) not in seen
        )
        size = 0 if value is None else value.numel()
        return next((stage for stage in missing if stage.value.numel() == size), None)


def _all_or_another(heads: Sequence[int | None]) -> str:
    return "all" if None in heads else "another"
