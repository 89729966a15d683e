"""Find the line of a part where its results leave the reference's.

A part's trace is held against the reference's own intermediates, up to a permutation of the axes, a
scale, and a split into heads. A result that the reference does not have is still right when a right
one is made from it; so the first wrong line is the first of which nothing right follows.
"""

import ast
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import torch
from torch import Tensor

from gpt2_small.checker.claims import probes, sampling
from gpt2_small.checker.claims.runner import reference
from gpt2_small.checker.mistakes.mistake import reference_text
from gpt2_small.checker.sandbox import tracing
from gpt2_small.checker.sandbox.tracing import Event, Trace, record

# Float64 all the way gives 1e-15; a constant that was kept in float32 moves results by 1e-7.
_CLOSE = 1e-5
# What masks a score: as good as minus infinity in a softmax.
_HIDDEN = -1e4
_MASKED = -54321.0

# What the reference's variables hold.
NAMES = {
    "centered": "the input minus its mean",
    "variance": "the variance",
    "scale": "the scale, sqrt(variance + epsilon)",
    "normalized": "the normalized input",
    "query": "the queries",
    "key": "the keys",
    "value": "the values",
    "similarity": "the scores before the mask",
    "scores": "the masked scores",
    "pattern": "the pattern",
    "z": "z",
    "output": "the output before dropout",
    "pre": "the hidden layer before the activation",
    "post": "the hidden layer after the activation",
    "attn_out": "the attention's output",
    "resid_mid": "the stream after attention",
    "mlp_out": "the MLP's output",
    "embed": "the token embedding",
    "pos_embed": "the position embedding",
    "residual": "the residual stream",
    "final": "the stream after the last norm",
    "tied_W_U": "the transposed W_E",
    "targets": "the targets",
    "predictions": "the logits that have a target",
    "relative": "the logits",
    "descending": "the sorted logits over the temperature",
    "probabilities": "the probabilities",
    "rank": "the drawn rank",
    "logits": "the logits",
    "next_token": "the next token",
    "tokens": "the tokens so far",
}
_PLURAL = ("queries", "keys", "values", "scores", "logits", "probabilities", "targets", "tokens")


@dataclass(frozen=True)
class Stage:
    """A result of the reference.

    name: what it is; a step on the way to a named one begins with "a step".
    """

    name: str
    value: Tensor
    numbers: Tensor

    @property
    def is_named(self) -> bool:
        return not self.name.startswith("a step")


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

    def sentence(self) -> str:
        """The two lines in words, the wrong one first."""
        wrong = f"Line {self.differs} is the first that differs: {self.differs_is}."
        if self.agrees is None or self.agrees == self.differs:
            return wrong
        return f"{wrong} Line {self.agrees} is still right: {self.agrees_is}."


def quoted(location: Location, source: bytes) -> tuple[str, ...]:
    """The last right line and the first wrong one of a file, and in a sentence what they are."""
    lines = source.decode("utf-8", errors="replace").splitlines()
    shown = sorted({location.agrees or location.differs, location.differs})
    return (
        location.sentence(),
        *(f"{n:>6} | {lines[n - 1].strip()}" for n in shown if n <= len(lines)),
    )


def numbers_of(value: Tensor) -> Tensor:
    """A tensor's numbers in order of size, hidden scores all as one."""
    flat = value.detach().double().flatten()
    return torch.where(flat <= _HIDDEN, torch.full_like(flat, _MASKED), flat).sort().values


def fingerprint(value: Tensor) -> tuple[float, float, float, float]:
    """Four sums that tell a tensor's numbers from others, in whatever order they are."""
    flat = value.detach().double().flatten()
    flat = torch.where(flat <= _HIDDEN, torch.full_like(flat, _MASKED), flat)
    largest = flat.max().item() if flat.numel() else 0.0
    return float(flat.numel()), flat.sum().item(), flat.square().sum().item(), largest


def same(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors of equal shape hold the same, within rounding."""
    if a.shape != b.shape or a.isnan().any() or b.isnan().any():
        return False
    if not a.numel():
        return True
    largest = b[b != _MASKED].abs().max().item() if bool((b != _MASKED).any()) else 1.0
    return bool(((a == b) | ((a - b).abs() <= _CLOSE * max(1.0, largest))).all())


@cache
def stages(part: str, seed: int, variant: str = "") -> tuple[Stage, ...]:
    """The reference's results, in order, with names where a statement ends."""
    trace = record(reference(), part, seed, variant)
    targets = _targets(part)
    found = []
    for index, event in enumerate(trace.events):
        target = targets.get(event.line, "")
        if event.value is None or not event.from_data or event.value.dtype == torch.bool:
            continue
        if target == "mask":
            continue
        following = trace.events[index + 1].line if index + 1 < len(trace.events) else None
        is_last = targets.get(following or 0, "") != target
        name = NAMES.get(target, target.replace("_", " "))
        if not is_last and name:
            name = f"a step towards {name}"
        if index == trace.output:
            name = "the output"
        found.append(_stage(name or "a step", event.value))
    return (*found, *_extra_stages(part, seed, found))


def _stage(name: str, value: Tensor) -> Stage:
    return Stage(name, value, numbers_of(value))


def _extra_stages(part: str, seed: int, found: Sequence[Stage]) -> Iterator[Stage]:
    """Right results that the reference does not make on its way, and others do."""
    by_name = {stage.name: stage.value for stage in found}
    if part == "MultiHeadAttention":
        scores = by_name["the masked scores"]
        yield _stage("a step towards the pattern", scores.exp())
        yield _stage("a step towards the pattern", (scores - scores.amax(-1, keepdim=True)).exp())
        packed = [by_name[name] for name in ("the queries", "the keys", "the values")]
        yield _stage("queries, keys and values", torch.cat([v.flatten(2) for v in packed], dim=-1))
    if part == "LayerNorm":
        yield _stage("one over the scale", 1 / by_name["the scale, sqrt(variance + epsilon)"])
    if part == "MLP":
        pre = by_name["the hidden layer before the activation"]
        inner = math.sqrt(2 / math.pi) * (pre + 0.044715 * pre**3)
        for value in (pre**3, pre + 0.044715 * pre**3, inner, inner.tanh(), 1 + inner.tanh()):
            yield _stage("a step towards the hidden layer after the activation", value)
    if part == "sample":
        yield from _ways_to_sample(seed)
    if part == "next_token_loss":
        logits = by_name["the logits that have a target"]
        yield _stage("the log probabilities", logits.log_softmax(-1))


def _ways_to_sample(seed: int) -> Iterator[Stage]:
    """Logits and probabilities after each cut, sorted or not, as one likes."""
    logits = sampling.cases(seed).double()
    settings = tracing.SAMPLING
    scaled = logits / settings["temperature"]
    largest = scaled.amax(-1, keepdim=True)
    least = scaled.topk(int(settings["top_k"])).values[:, -1:]
    cut = scaled.masked_fill(scaled < least, -math.inf)
    probabilities = sampling.probabilities(logits, **settings)
    kept = cut.masked_fill(probabilities == 0, -math.inf)
    shares = cut.softmax(-1)
    for name, value in (
        ("the logits over the temperature", scaled),
        ("the logits over the temperature", scaled - largest),
        ("the logits that top_k leaves", cut),
        ("the logits that top_k leaves", cut - largest),
        ("the probabilities that top_k leaves", shares),
        ("the logits that top_p leaves", kept),
        ("the logits that top_p leaves", kept - largest),
        ("the probabilities that top_p leaves", shares.masked_fill(probabilities == 0, 0.0)),
        ("the probabilities that top_p leaves", probabilities),
    ):
        yield _stage(name, value)
        in_order = value.sort(dim=-1, descending=True).values
        yield _stage(name, in_order)
        if "probabilities" in name:
            sums = in_order.cumsum(-1)
            yield _stage(f"a step after {name}", sums)
            yield _stage(f"a step after {name}", sums - in_order)


@cache
def _targets(part: str) -> dict[int, str]:
    """For each line of the reference's part the variable that its statement assigns."""
    found: dict[int, str] = {}
    for node in ast.walk(ast.parse(reference_text())):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and node.name == part:
            for statement in ast.walk(node):
                if isinstance(statement, ast.Assign):
                    target = statement.targets[0]
                    names = target.elts if isinstance(target, ast.Tuple) else [target]
                    name = getattr(names[0], "id", "")
                elif isinstance(statement, ast.Return):
                    name = "output"
                else:
                    continue
                for line in range(statement.lineno, (statement.end_lineno or 0) + 1):
                    found[line] = name
    return found


def match(value: Tensor, among: Iterable[Stage]) -> Match | None:
    """The stage that a result is, as nearly as possible."""
    if value.dtype == torch.bool:
        return None
    is_exact = not value.is_floating_point()
    numbers = numbers_of(value)
    found: Match | None = None
    for stage in among:
        if stage.numbers.numel() == numbers.numel():
            if same(numbers, stage.numbers):
                if _is_laid_out(value, stage.value):
                    return Match("right", stage)
                found = Match("scrambled", stage) if found is None else found
            elif not is_exact:
                factor = _factor(numbers, stage.numbers)
                if factor is not None:
                    found = Match("scaled", stage, factor)
        elif any(same(numbers, piece) for piece in _heads(stage, numbers.numel())):
            return Match("right", stage)
    return found


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
    visible, expected = numbers[numbers != _MASKED], wanted[wanted != _MASKED]
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
    value = torch.where(value <= _HIDDEN, torch.full_like(value, _MASKED), value)
    for form in _forms(_without_ones(stage.double())):
        form = torch.where(form <= _HIDDEN, torch.full_like(form, _MASKED), form)
        if form.dim() > 5:
            continue
        for order in itertools.permutations(range(form.dim())):
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
    known = stages(part, seed, variant)
    matches = [match(e.value, known) if e.value is not None else None for e in trace.events]
    return _wrong(trace, matches)


def _wrong(trace: Trace, matches: Sequence[Match | None]) -> list[int]:
    fine = [found is not None and found.kind == "right" for found in matches]
    for index in range(len(trace.events) - 1, -1, -1):
        if fine[index]:
            for source in trace.events[index].inputs:
                fine[source] = True
    draws = any(event.operation == "multinomial" for event in trace.events)
    return [
        index
        for index in sorted(_leading_to_output(trace))
        if not fine[index] and _is_judged(trace.events[index], draws)
    ]


def _is_judged(event: Event, is_drawn_from: bool) -> bool:
    """Whether a result is compared; on the way to a draw only logits and probabilities are."""
    value = event.value
    if value is None or not event.from_data or value.dtype == torch.bool:
        return False
    return not is_drawn_from or (value.dim() == 2 and value.shape[1] > 1)


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


def locate(part: str, seed: int, trace: Trace, variant: str = "") -> Location | None:
    """Where a part's results leave the reference's; None when they do not, or none was seen."""
    known = stages(part, seed, variant)
    matches = [match(e.value, known) if e.value is not None else None for e in trace.events]
    wrong = _wrong(trace, matches)
    if not wrong:
        return None
    wrong = [_last_of_line(trace, matches, wrong), *wrong]
    first = trace.events[wrong[0]]
    if (mask := _wrong_mask(trace, wrong[0])) is not None:
        return Location(
            *_last_right(trace, matches, wrong[0]), mask.line, "this mask is not the causal one",
            first.value,
        )  # fmt: skip
    found, size = matches[wrong[0]], 0 if first.value is None else first.value.numel()
    return Location(
        *_last_right(trace, matches, wrong[0]),
        first.line,
        _how(found, size, known, matches),
        first.value,
    )


def _last_of_line(trace: Trace, matches: Sequence[Match | None], wrong: Sequence[int]) -> int:
    """The first wrong result, or its last multiple in the same line, which scales further."""
    chosen = wrong[0]
    for index in wrong[1:]:
        a, b = matches[chosen], matches[index]
        is_further = trace.events[index].line == trace.events[chosen].line
        if not (is_further and a and b and a.kind == b.kind == "scaled"):
            break
        chosen = index
    return chosen


def _last_right(
    trace: Trace, matches: Sequence[Match | None], index: int
) -> tuple[int | None, str]:
    """The line of the last right result that a wrong one is made of, or that came before it."""

    def is_right(i: int) -> bool:
        found = matches[i]
        return found is not None and found.kind == "right" and trace.events[i].from_data

    sources = [i for i in trace.events[index].inputs if is_right(i)]
    earlier = [i for i in range(index) if is_right(i)]
    chosen = max(sources or earlier, default=None)
    if chosen is None:
        return None, ""
    found = matches[chosen]
    assert found is not None
    return trace.events[chosen].line, _as_is(found.stage.name)


def _as_is(name: str) -> str:
    return name if name != "a step" else "the reference has the same"


def _how(
    found: Match | None, size: int, known: Sequence[Stage], matches: Sequence[Match | None]
) -> str:
    """How the first wrong result differs."""
    if found is not None and found.kind == "scaled":
        what = "they" if found.stage.name.endswith(_PLURAL) else "it"
        return f"{found.stage.name}, {found.factor:.4g} times what {what} should be"
    if found is not None and found.kind == "scrambled":
        return f"the numbers of {found.stage.name}, in the wrong order"
    seen = {id(m.stage) for m in matches if m is not None and m.kind == "right"}
    missing = (stage for stage in known if stage.is_named and id(stage) not in seen)
    here = next((stage for stage in missing if stage.value.numel() == size), None)
    return (
        "the reference has no such result"
        if here is None
        else f"the reference has {here.name} here"
    )


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
