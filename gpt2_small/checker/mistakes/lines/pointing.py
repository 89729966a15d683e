"""Find the line of a part where its results leave the reference's.

A part's trace is held against the reference's own intermediates, up to a permutation of the axes, a
scale, and a split into heads. A result that the reference does not have is still right when a right
one is made from it; so the first wrong line is the first of which nothing right follows.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch

from gpt2_small.checker.claims.judging.runner import reference
from gpt2_small.checker.mistakes.lines.location import Location
from gpt2_small.checker.mistakes.lines.masks import wrong_mask
from gpt2_small.checker.mistakes.lines.stage_matching import match
from gpt2_small.checker.mistakes.lines.stages import (
    BEFORE_LOG,
    NAMES,
    PLURAL,
    Stage,
    same,
    stages,
)
from gpt2_small.checker.parts import PARTS
from gpt2_small.checker.sandbox.tracing import Event, Trace, record

# What these operations are given was meant to be finished.
_CONSUMERS = ("einsum", "matmul", "bmm", "__matmul__", "linear", "scaled_dot_product_attention",
              "gelu", "relu", "silu", "tanh", "sigmoid", "softmax")  # fmt: skip

# What the reference gives a part inside a Transformer.
_FED = {"TransformerBlock": NAMES["residual"]}


def wrong_results(part: str, seed: int, trace: Trace, case: str = "") -> list[int]:
    """The events from which nothing right follows, of those that lead to the output."""
    return _Comparison(stages(part, seed, case), trace, part).wrong


def locate(part: str, seed: int, trace: Trace, case: str = "") -> Location | None:
    """Where a part's results leave the reference's; None when they do not, or none was seen."""
    return _Comparison(stages(part, seed, case), trace, part).location()


def locate_number(part: str, seed: int, trace: Trace, output: int) -> Location | None:
    """Where a number that an event gives becomes wrong, of the numbers that it is made of."""
    known = [stage for stage in stages(part, seed) if stage.value.numel() == 1]
    leading = _leading_to_output(replace(trace, output=output))
    events = [
        event
        if index in leading and event.value is not None and event.value.numel() == 1
        else replace(event, value=None)
        for index, event in enumerate(trace.events[: output + 1])
    ]
    return _Comparison(known, Trace(events, output), part).location()


def unlike(part: str, seed: int, trace: Trace) -> Location | None:
    """The first result in the place of a named one of the reference, whatever follows from it."""
    return _Comparison(stages(part, seed), trace, part).replaced()


def misplaced_dropout(part: str, seed: int, trace: Trace) -> list[int]:
    """Lines that drop from what the reference leaves whole."""
    known = stages(part, seed)
    usual = [
        stage for stage, _ in _Comparison(known, record(reference(), part, seed), part).dropped()
    ]
    return [
        line
        for stage, line in _Comparison(known, trace, part).dropped()
        if not any(same(stage.numbers, other.numbers) for other in usual)
    ]


class _Comparison:
    """A trace held against the reference's stages.

    wrong: the events from which nothing right follows, of those that lead to the output.
    """

    def __init__(self, known: Sequence[Stage], trace: Trace, part: str) -> None:
        if not any(event.operation.startswith("log") for event in trace.events):
            known = [stage for stage in known if BEFORE_LOG not in stage.name]
        self.known, self.trace = known, trace
        self.matches = [
            match(event.value, known) if event.value is not None else None for event in trace.events
        ]
        self.d_vocab = known[0].value.shape[-1] if part == "sample" and known else None
        self.is_short = self._output_is_short()
        self.wrong = self._wrong()

    def _output_is_short(self) -> bool:
        """Whether what is returned is a stage of the reference that comes before its output."""
        output = self.trace.output
        if output is None or not self.is_right(output):
            return False
        found = self.matches[output]
        assert found is not None
        final = next((stage for stage in self.known if stage.name == "the output"), None)
        return final is not None and not same(found.stage.numbers, final.numbers)

    def is_right(self, index: int) -> bool:
        found = self.matches[index]
        return found is not None and found.kind == "right" and self.trace.events[index].from_data

    def _wrong(self) -> list[int]:
        fine = [self.is_right(index) for index in range(len(self.matches))]
        if self.is_short and self.trace.output is not None:
            fine[self.trace.output] = False
        for index in range(len(fine) - 1, -1, -1):
            if fine[index]:
                for source in self.trace.events[index].inputs:
                    fine[source] = fine[source] or self._absolves(index, source)
        return [
            index
            for index in sorted(_leading_to_output(self.trace))
            if not fine[index] and _is_judged(self.trace.events[index], self.d_vocab)
        ]

    def dropped(self) -> list[tuple[Stage, int]]:
        """The stages of which some elements are dropped in training, each with its line."""
        found = []
        for event in self.trace.events:
            if event.operation.startswith("dropout") and event.inputs:
                of = self.matches[event.inputs[0]]
                if of is not None and of.kind == "right":
                    found.append((of.stage, event.line))
        return found

    def replaced(self) -> Location | None:
        """The first result that stands where a named stage of the reference should stand."""
        for index, event in enumerate(self.trace.events):
            if self.matches[index] is not None or not _is_judged(event, self.d_vocab):
                continue
            said = self._how(index)
            if said.endswith("here"):
                return Location(*self._last_right(index), event.line, said, event.value)
        return None

    def _absolves(self, index: int, source: int) -> bool:
        """Whether a right result says that what it is made of is right too.

        A token may be drawn, and a mask may come out, by chance.
        """
        a, b = self.trace.events[index].value, self.trace.events[source].value
        if self.d_vocab is None or a is None or b is None:
            return True
        return a.is_floating_point() or (a.dtype == b.dtype == torch.bool)

    def location(self) -> Location | None:
        """The first wrong line, and the last one that is right."""
        if not self.wrong:
            return None
        events = self.trace.events
        index = self._last_multiple()
        if (other := self._mixed_heads(index) or self._fed_too_early(index)) is not None:
            return other
        right = self._last_right(index)
        value = events[index].value
        if (mask := wrong_mask(self.trace, index)) is not None:
            return Location(*right, mask.line, "this mask is not the causal one", value)
        if self.is_short and index == self.trace.output:
            found = self.matches[index]
            assert found is not None
            said = f"what is returned is {found.stage.name}, which is not the end"
            return Location(None, "", events[self._maker(index)].line, said, value)
        if (step := self._unfinished(index)) is not None:
            line, name, wanted = step
            return Location(None, "", line, f"{name}, which never become{wanted}", value)
        return Location(*right, events[index].line, self._how(index), value)

    def _last_multiple(self) -> int:
        """The first wrong result; of a chain of multiples of stages the last that changes by how
        much."""
        chosen = self.wrong[0]
        for index in self.wrong[1:]:
            a, b = self.matches[chosen], self.matches[index]
            if not (a and b and a.kind == b.kind == "scaled"):
                break
            if not ("scores" in a.stage.name and "scores" in b.stage.name):
                break
            if abs(a.factor - b.factor) > 1e-6 * abs(a.factor):
                chosen = index
        return chosen

    def _last_right(self, index: int) -> tuple[int | None, str]:
        """The line of the last right result that a wrong one is made of, or that came before it."""
        sources = [i for i in self.trace.events[index].inputs if self.is_right(i)]
        earlier = [i for i in range(index) if self.is_right(i)]
        chosen = max(sources or earlier, default=None)
        if chosen is None:
            return None, ""
        found = self.matches[chosen]
        assert found is not None
        name = found.stage.name
        return self.trace.events[chosen].line, (
            name if name != "a step" else "the reference has the same"
        )

    def _mixed_heads(self, index: int) -> Location | None:
        """Where one head's part is used with that of another, or of all."""
        sources = self._sources(index)
        heads = {source: self.matches[source].head for source in sources}  # type: ignore[union-attr]
        event = self.trace.events[index]
        if event.operation in ("expand", "expand_as", "repeat", "broadcast_to"):
            heads[-1] = None  # one head's part takes the place of all
        elif len(set(heads.values())) < 2 or event.operation not in _CONSUMERS:
            return None
        for source in self._sources(index):
            head = heads[source]
            maker = self.trace.events[self._maker(source)]
            others = [other for other in heads.values() if other != head]
            before = [
                i
                for i in range(source)
                if self.trace.events[i].line == maker.line
                and self.is_right(i)
                and self._is_the_same(i, source)
            ]
            if head is not None and (None in others or before):
                name = self.matches[source].stage.name  # type: ignore[union-attr]
                said = f"{name} of one head, where those of {_all_or_another(others)} belong"
                return Location(None, "", maker.line, said, maker.value)
        return None

    def _is_the_same(self, index: int, other: int) -> bool:
        """Whether two results are the same stage's, of the same head."""
        a, b = self.matches[index], self.matches[other]
        return a is not None and b is not None and a.stage is b.stage and a.head == b.head

    def _fed_too_early(self, index: int) -> Location | None:
        """The line of what a part is given, where the reference gives it something later."""
        event = self.trace.events[index]
        if event.operation not in PARTS or not self._sources(index):
            return None
        source = self._sources(index)[0]
        given = self.matches[source]
        assert given is not None
        names = [stage.name for stage in self.known if stage.is_named]
        wanted = _FED.get(event.operation)
        seen = {m.stage.name for i, m in enumerate(self.matches) if m and self.is_right(i)}
        is_given = given.stage.name.removeprefix("a step towards ") == wanted
        if wanted is None or wanted not in names or wanted in seen or is_given:
            return None
        line = self.trace.events[source].line
        said = f"{event.operation} is given {given.stage.name}, and not {wanted}"
        return Location(None, "", line, said, event.value)

    def _unfinished(self, index: int) -> tuple[int, str, str] | None:
        """A step towards a named stage that a wrong result is made of, where the stage is missing.

        Its line, what it is, and the end of a sentence about what it does not become.
        """
        if self.trace.events[index].operation not in _CONSUMERS:
            return None
        seen = {m.stage.name for i, m in enumerate(self.matches) if m and self.is_right(i)}
        missing = [s for s in self.known if s.is_named and s.name not in seen]
        names = [stage.name for stage in missing]
        bases: list[str] = []
        for source in self._sources(index):
            found = self.matches[source]
            assert found is not None
            name = found.stage.name
            base = name.removeprefix("a step towards ")
            line = self.trace.events[self._maker(source)].line
            if base != name and base in names and base not in ("the output", NAMES["output"]):
                return line, name, f"s {base}"
            is_again = bool(names) and base in seen and (base != name or base in bases)
            if is_again and found.stage.value.numel() == missing[0].value.numel():
                return line, name, f"s {names[0]}"
            bases.append(base)
        return None

    def _maker(self, index: int) -> int:
        """The first event on the way to a right one that has the same numbers."""
        stage = self.matches[index]
        assert stage is not None
        for source in self.trace.events[index].inputs:
            other = self.matches[source]
            if self.is_right(source) and other and same(other.stage.numbers, stage.stage.numbers):
                return self._maker(source)
        return index

    def _sources(self, index: int) -> list[int]:
        """The right results that a wrong one is made of."""
        return [source for source in self.trace.events[index].inputs if self.is_right(source)]

    def _how(self, index: int) -> str:
        """How the first wrong result differs."""
        found, value = self.matches[index], self.trace.events[index].value
        if found is not None and found.kind == "scaled":
            what = "they" if found.stage.name.endswith(PLURAL) else "it"
            return f"{found.stage.name}, {found.factor:.4g} times what {what} should be"
        if found is not None and found.kind == "scrambled":
            return f"the numbers of {found.stage.name}, in the wrong order"
        seen = {id(m.stage) for m in self.matches if m is not None and m.kind == "right"}
        missing = (
            stage
            for stage in self.known
            if stage.is_named and not stage.is_extra and id(stage) not in seen
        )
        size = 0 if value is None else value.numel()
        here = next((stage for stage in missing if stage.value.numel() == size), None)
        return f"the reference has {here.name} here" if here else "the reference has no such result"


def _all_or_another(heads: Sequence[int | None]) -> str:
    return "all" if None in heads else "another"


def _is_judged(event: Event, d_vocab: int | None) -> bool:
    """Whether a result is compared; on the way to a draw what decides about tokens is."""
    value = event.value
    if value is None or not event.from_data:
        return False
    if d_vocab is None:
        return value.dtype != torch.bool
    if value.dtype == torch.bool:
        return value.dim() == 2 and value.shape[-1] == d_vocab
    return value.is_floating_point() and value.dim() > 0 and value.numel() > 1


def _leading_to_output(trace: Trace) -> set[int]:
    """What the output is made of; where it is drawn, what the probabilities are made of."""
    draws = [event for event in trace.events if event.operation == "multinomial" and event.inputs]
    if draws:
        left = list(draws[-1].inputs)
    elif trace.output is not None:
        left = [trace.output]
    else:
        return set(range(len(trace.events)))
    found: set[int] = set()
    while left:
        index = left.pop()
        if index not in found:
            found.add(index)
            left.extend(trace.events[index].inputs)
    return found
