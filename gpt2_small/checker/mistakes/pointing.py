"""Find the line of a part where its results leave the reference's.

A part's trace is held against the reference's own intermediates, up to a permutation of the axes, a
scale, and a split into heads. A result that the reference does not have is still right when a right
one is made from it; so the first wrong line is the first of which nothing right follows.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from gpt2_small.checker.claims import probes
from gpt2_small.checker.claims.runner import reference
from gpt2_small.checker.mistakes.stages import (
    CLOSE,
    HIDDEN,
    MASKED,
    NAMES,
    PLURAL,
    Stage,
    numbers_of,
    same,
    stages,
)
from gpt2_small.checker.sandbox.tracing import Event, Trace, record

_FEWEST = 8
# What these operations are given was meant to be finished.
_CONSUMERS = ("einsum", "matmul", "bmm", "__matmul__", "linear", "scaled_dot_product_attention",
              "gelu", "relu", "silu", "tanh", "sigmoid", "softmax")  # fmt: skip


@dataclass(frozen=True)
class Match:
    """How a result compares with a stage.

    kind: `right`; `scaled`: a multiple of it; `scrambled`: its numbers in an order that no
        permutation of the axes gives.
    """

    kind: Literal["right", "scaled", "scrambled"]
    stage: Stage
    factor: float = 1.0


@dataclass(frozen=True)
class Location:
    """Where a part leaves the reference.

    agrees, agrees_is: the last line that is still right, and what it gives; None for the input.
    differs: the first line that is not right. differs_is: how it differs.
    first_wrong: its result.
    """

    agrees: int | None
    agrees_is: str
    differs: int
    differs_is: str
    first_wrong: Tensor | None = None

    def sentence(self, place: Callable[[int], str] = "line {}".format) -> str:
        """The two lines in words, the wrong one first.

        place: how a line is called.
        """
        wrong = f"{_begun(place(self.differs))} is the first that differs: {self.differs_is}."
        if not self.differs_is:
            return f"It begins in {place(self.differs)}."
        if self.agrees is None or self.agrees == self.differs:
            return wrong
        return f"{wrong} {_begun(place(self.agrees))} is still right: {self.agrees_is}."


def _begun(text: str) -> str:
    return text[:1].upper() + text[1:]


def match(value: Tensor, among: Iterable[Stage]) -> Match | None:
    """The stage that a result is, as nearly as possible."""
    if value.dtype == torch.bool:
        return None
    is_exact = not value.is_floating_point()
    if is_exact and value.numel() < _FEWEST:
        return None  # a few small whole numbers are equal by chance
    numbers = numbers_of(value)
    found: Match | None = None
    for stage in among:
        if stage.numbers.numel() == numbers.numel():
            if found is not None and found.kind == "right" and not stage.is_named:
                continue
            if same(numbers, stage.numbers):
                if _is_laid_out(value, stage.value) or _has_the_rows(value, stage.value):
                    found = Match("right", stage)
                    if stage.is_named:
                        return found
                elif found is None:
                    found = Match("scrambled", stage)
            elif not is_exact and (found is None or found.kind != "right"):
                factor = _factor(numbers, stage.numbers)
                if factor is not None:
                    found = Match("scaled", stage, factor)
        elif _may_be_heads(found, stage) and any(
            same(numbers, piece) for piece in _heads(stage, numbers.numel())
        ):
            found = Match("right", stage)
            if stage.is_named:
                return found
    return found
    return found


def _may_be_heads(found: Match | None, stage: Stage) -> bool:
    """Whether a match by heads would be better than what was found."""
    return found is None or (stage.is_named and not found.stage.is_named)


def _has_the_rows(value: Tensor, stage: Tensor) -> bool:
    """Whether each row of a matrix has the numbers of a stage's row, in whatever order."""
    if value.dim() != 2 or value.shape != stage.shape or not value.is_floating_point():
        return False
    a, b = (t.double().sort(dim=-1).values for t in (value, stage))
    return bool((a.isfinite() == b.isfinite()).all()) and same(
        a.nan_to_num(0.0, 0.0, 0.0), b.nan_to_num(0.0, 0.0, 0.0)
    )


def _heads(stage: Stage, count: int) -> Iterator[Tensor]:
    """The numbers of each head of a stage, where they are as many as wanted."""
    heads = probes.SIZES["n_heads"]
    if count * heads != stage.value.numel():
        return
    for axis, size in enumerate(stage.value.shape):
        if size == heads:
            for one in stage.value.unbind(axis):
                yield numbers_of(one)
        elif size == probes.SIZES["d_model"]:
            for one in stage.value.chunk(heads, axis):
                yield numbers_of(one)


def _factor(numbers: Tensor, wanted: Tensor) -> float | None:
    """By what one sorted tensor is a multiple of another."""
    visible, expected = numbers[numbers != MASKED], wanted[wanted != MASKED]
    if visible.numel() != expected.numel() or not visible.numel() or visible.numel() < 8:
        return None
    if not bool(visible.isfinite().all() & expected.isfinite().all()):
        return None
    size = expected.norm().item()
    factor = visible.norm().item() / size if size else 0.0
    if not 1e-6 < factor < 1e6:
        return None
    if same(visible / factor, expected):
        return factor
    return -factor if same((-visible / factor).sort().values, expected) else None


def _is_laid_out(value: Tensor, stage: Tensor) -> bool:
    """Whether a permutation of the stage's axes, merged or split into heads, gives the value."""
    value = _without_ones(value.double())
    value = torch.where(value <= HIDDEN, torch.full_like(value, MASKED), value)
    for form in _forms(_without_ones(stage.double())):
        form = torch.where(form <= HIDDEN, torch.full_like(form, MASKED), form)
        if form.dim() > 5:
            continue
        for order in itertools.permutations(range(form.dim())):
            if any(
                a > b and form.shape[a] == form.shape[b]
                for a, b in itertools.combinations(order, 2)
            ):
                continue  # equal axes that change places are a transpose, and no other layout
            turned = form.permute(order)
            if _merges_to(turned.shape, value.shape) and same(value, turned.reshape(value.shape)):
                return True
    return False


def _without_ones(value: Tensor) -> Tensor:
    return value.reshape([size for size in value.shape if size != 1])


def _forms(stage: Tensor) -> Iterator[Tensor]:
    yield stage
    heads, width = probes.SIZES["n_heads"], probes.SIZES["d_model"]
    for axis, size in enumerate(stage.shape):
        if size in (width, 3 * width):
            yield stage.unflatten(axis, (heads, width // heads) if size == width else (3, width))
        if size == 3 * width:
            yield stage.unflatten(axis, (3, heads, width // heads))


def _merges_to(shape: Sequence[int], wanted: Sequence[int]) -> bool:
    """Whether neighbouring axes of a shape, multiplied, give the other shape."""
    steps = list(itertools.accumulate(shape, int.__mul__))
    return all(step in steps for step in itertools.accumulate(wanted, int.__mul__))


def wrong_results(part: str, seed: int, trace: Trace, variant: str = "") -> list[int]:
    """The events from which nothing right follows, of those that lead to the output."""
    return _Comparison(stages(part, seed, variant), trace).wrong


def locate(part: str, seed: int, trace: Trace, variant: str = "") -> Location | None:
    """Where a part's results leave the reference's; None when they do not, or none was seen."""
    if part == "learning_rate":
        return _first_wrong_rate(record(reference(), part, seed), trace)
    return _Comparison(stages(part, seed, variant), trace).location()


def _first_wrong_rate(right: Trace, trace: Trace) -> Location | None:
    """The line that returned the first wrong rate."""
    for ours, theirs in zip(trace.events, right.events, strict=False):
        assert ours.value is not None
        assert theirs.value is not None
        if abs(ours.value.item() - theirs.value.item()) > CLOSE * max(1.0, theirs.value.item()):
            said = f"for {ours.operation} it returns {ours.value.item():.4g}"
            return Location(None, "", ours.line, f"{said}, not {theirs.value.item():.4g}")
    return None


class _Comparison:
    """A trace held against the reference's stages.

    wrong: the events from which nothing right follows, of those that lead to the output.
    """

    def __init__(self, known: Sequence[Stage], trace: Trace) -> None:
        self.known, self.trace = known, trace
        self.matches = [
            match(event.value, known) if event.value is not None else None for event in trace.events
        ]
        draws = any(event.operation == "multinomial" for event in trace.events)
        self.d_vocab = known[0].value.shape[-1] if draws and known else None
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
                    fine[source] = True
        return [
            index
            for index in sorted(_leading_to_output(self.trace))
            if not fine[index] and _is_judged(self.trace.events[index], self.d_vocab)
        ]

    def location(self) -> Location | None:
        """The first wrong line, and the last one that is right."""
        if not self.wrong:
            return None
        events = self.trace.events
        index = self._last_multiple()
        right = self._last_right(index)
        value = events[index].value
        if (mask := _wrong_mask(self.trace, index)) is not None:
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


def _is_judged(event: Event, d_vocab: int | None) -> bool:
    """Whether a result is compared; on the way to a draw only logits and probabilities are."""
    value = event.value
    if value is None or not event.from_data or value.dtype == torch.bool:
        return False
    is_row = value.is_floating_point() and value.dim() == 2 and value.shape[-1] == d_vocab
    return d_vocab is None or is_row


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


def _wrong_mask(trace: Trace, index: int) -> Event | None:
    """A square constant that a wrong result is made of, and that is no causal mask."""
    for source in trace.events[index].inputs:
        event = trace.events[source]
        if event.from_data or event.value is None or event.value.dim() < 2:
            continue
        square = event.value.reshape(-1, *event.value.shape[-2:])[0]
        if square.shape[0] != square.shape[1] or square.shape[0] == 1:
            continue
        hidden = torch.ones(square.shape, dtype=torch.bool).triu(1)
        if len(square.double().unique()) != 2 or _parts(square.double(), hidden):
            return None
        return _begin_of_mask(trace, source)
    return None


def _begin_of_mask(trace: Trace, index: int) -> Event:
    """The first constant with two values on the way to a mask."""
    event = trace.events[index]
    for source in event.inputs:
        value = trace.events[source].value
        if value is not None and value.dim() >= 2 and len(value.double().unique()) == 2:
            return _begin_of_mask(trace, source)
    return event


def _parts(square: Tensor, hidden: Tensor) -> bool:
    """Whether a matrix has one value where scores are hidden, and another one elsewhere."""
    inside, outside = square[hidden], square[~hidden]
    return bool((inside == inside[0]).all() & (outside == outside[0]).all()) and bool(
        inside[0] != outside[0]
    )
