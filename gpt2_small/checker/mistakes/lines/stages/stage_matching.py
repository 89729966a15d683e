"""Compare a result with a stage of the reference, up to layout, scale and a split into heads."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from gpt2_small.checker.claims.observing import probes
from gpt2_small.checker.mistakes.lines.stages.stage import (
    HIDDEN,
    MASKED,
    Stage,
    numbers_of,
    pieces_like,
    same,
)

FEWEST = 8


@dataclass(frozen=True)
class StageMatch:
    """A result's relation to a stage.

    kind: `right`; `scaled`: a multiple of it; `scrambled`: its numbers in another order than any
        permutation of axes; `cut`: only its first or last positions.
    head: the only head whose numbers it has. row: the only row of the batch.
    is_interleaved: whether two of its axes are merged in the other order.
    """

    kind: Literal["right", "scaled", "scrambled", "cut"]
    stage: Stage
    factor: float = 1.0
    head: int | None = None
    row: int | None = None
    is_interleaved: bool = False


def match(value: Tensor, among: Iterable[Stage]) -> StageMatch | None:
    """The best match of a result among stages."""
    if value.dtype == torch.bool:
        return _match_of_mask(value, among)
    is_exact = not value.is_floating_point()
    if is_exact and value.numel() < FEWEST:
        return None  # a few small integers may be equal by chance
    numbers = numbers_of(value)
    found: StageMatch | None = None
    for stage in among:
        if stage.value.dtype == torch.bool:
            continue
        if stage.numbers.numel() == numbers.numel():
            if found is not None and found.kind == "right" and not stage.is_named:
                continue
            if same(numbers, stage.numbers):
                order = _layout(value, stage.value)
                if order or _has_the_rows(value, stage.value):
                    found = StageMatch("right", stage, is_interleaved=order == "interleaved")
                    if stage.is_named:
                        return found
                elif found is None:
                    found = StageMatch("scrambled", stage)
            elif not is_exact and (found is None or found.kind != "right"):
                factor = _factor(numbers, stage.numbers)
                if factor is not None:
                    found = StageMatch("scaled", stage, factor)
        elif (found is None or not found.stage.is_named) and (
            piece := _piece(value, numbers, stage)
        ):
            if found is None or piece.kind == "right":
                found = piece
        elif _may_be_heads(found, stage):
            pieces = enumerate(_heads(stage, numbers.numel()))
            head = next((n for n, piece in pieces if same(numbers, piece)), None)
            if head is not None:
                found = StageMatch("right", stage, head=head)
                if stage.is_named:
                    return found
    return found


def _piece(value: Tensor, numbers: Tensor, stage: Stage) -> StageMatch | None:
    """The match of a result with one row of the batch or one position of a stage, or with some.

    numbers: the result's sorted numbers.
    """
    whole = stage.value
    is_batch = stage.name == "the input" or not stage.is_given
    if not value.is_floating_point() or whole.dim() < 2 or not value.dim() or not is_batch:
        return None
    if value.dim() == whole.dim() and value.shape[2:] == whole.shape[2:]:
        fewer, most = value.shape[1], whole.shape[1]
        if value.shape[0] == whole.shape[0] and 1 < fewer < most:
            ends = (whole[:, :fewer], whole[:, most - fewer :])
            is_cut = any(same(value.double(), end.double()) for end in ends)
            return StageMatch("cut", stage) if is_cut else None
    for axis in (0, 1):
        one = whole.select(axis, 0)
        if _without_ones(value).shape != _without_ones(one).shape or one.numel() < 2:
            continue
        for number in pieces_like(numbers, stage.numbers_along(axis)):
            if _layout(value, whole.select(axis, number)):
                is_like_all = axis == 1 or same(one, whole.select(axis, -1))
                return StageMatch("right", stage, row=None if is_like_all else number)
    return None


def _match_of_mask(value: Tensor, among: Iterable[Stage]) -> StageMatch | None:
    """The stage that equals a mask or its negation."""
    for stage in among:
        mask = stage.value
        if mask.dtype != torch.bool or mask.shape != value.shape:
            continue
        if torch.equal(mask, value) or torch.equal(mask, ~value):
            return StageMatch("right", stage)
    return None


def _may_be_heads(found: StageMatch | None, stage: Stage) -> bool:
    """Whether a match by heads could be better than this one."""
    return found is None or (stage.is_named and not found.stage.is_named)


def _has_the_rows(value: Tensor, stage: Tensor) -> bool:
    """Whether each row of a matrix has the numbers of a stage's row, in order of size."""
    if value.dim() != 2 or value.shape != stage.shape or not value.is_floating_point():
        return False
    steps = value.double().nan_to_num(0.0, 1e300, -1e300).diff(dim=-1)
    if not bool((steps <= 0).all() or (steps >= 0).all()):
        return False
    a, b = (t.double().sort(dim=-1).values for t in (value, stage))
    return bool((a.isfinite() == b.isfinite()).all()) and same(
        a.nan_to_num(0.0, 0.0, 0.0), b.nan_to_num(0.0, 0.0, 0.0)
    )


def _heads(stage: Stage, count: int) -> Iterator[Tensor]:
    """The sorted numbers of each head of a stage, if their count matches."""
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
    """The factor between two sorted tensors, if there is one."""
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


def _layout(value: Tensor, stage: Tensor) -> str:
    """How a value has a stage's numbers, if its axes are permuted, merged or split into heads.

    `interleaved` if axes are merged in the other order, as d_head before head; else `usual`.
    """
    value = _without_ones(value.double())
    value = torch.where(value <= HIDDEN, torch.full_like(value, MASKED), value)
    found = ""
    for form in _forms(_without_ones(stage.double())):
        form = torch.where(form <= HIDDEN, torch.full_like(form, MASKED), form)
        if form.dim() > 5:
            continue
        for order in itertools.permutations(range(form.dim())):
            if any(
                a > b and form.shape[a] == form.shape[b]
                for a, b in itertools.combinations(order, 2)
            ):
                continue  # swapped axes of equal size are a transpose, not another layout
            turned = form.permute(order)
            if _merges_to(turned.shape, value.shape) and same(value, turned.reshape(value.shape)):
                if not _merges_backwards(order, turned.shape, value.shape):
                    return "usual"
                found = "interleaved"
    return found


def _merges_backwards(order: Sequence[int], shape: Sequence[int], wanted: Sequence[int]) -> bool:
    """Whether merging to a shape joins two axes that stand in the other order in the stage."""
    ends = set(itertools.accumulate(wanted, int.__mul__))
    steps = itertools.accumulate(shape, int.__mul__)
    return any(
        a > b
        for step, (a, b) in zip(steps, itertools.pairwise(order), strict=False)
        if step not in ends
    )


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
    """Whether merging neighbouring axes of a shape gives the other shape."""
    steps = list(itertools.accumulate(shape, int.__mul__))
    return all(step in steps for step in itertools.accumulate(wanted, int.__mul__))
