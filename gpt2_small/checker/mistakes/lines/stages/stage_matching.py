"""Compare a result with a stage of the reference, up to layout, scale and a split into heads."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from gpt2_small.checker.claims.observing import probes
from gpt2_small.checker.mistakes.lines.stages.reference_stages import (
    HIDDEN,
    MASKED,
    Stage,
    numbers_of,
    same,
)

FEWEST = 8


@dataclass(frozen=True)
class StageMatch:
    """A result's relation to a stage.

    kind: `right`; `scaled`: a multiple of it; `scrambled`: its numbers in another order than any
        permutation of axes.
    head: the only head whose numbers it has.
    """

    kind: Literal["right", "scaled", "scrambled"]
    stage: Stage
    factor: float = 1.0
    head: int | None = None


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
                if _is_laid_out(value, stage.value) or _has_the_rows(value, stage.value):
                    found = StageMatch("right", stage)
                    if stage.is_named:
                        return found
                elif found is None:
                    found = StageMatch("scrambled", stage)
            elif not is_exact and (found is None or found.kind != "right"):
                factor = _factor(numbers, stage.numbers)
                if factor is not None:
                    found = StageMatch("scaled", stage, factor)
        elif value.shape == stage.value.shape[1:] and value.dim() and value.is_floating_point():
            if found is None and any(same(numbers, numbers_of(row)) for row in stage.value):
                found = StageMatch("right", stage)
        elif _may_be_heads(found, stage):
            pieces = enumerate(_heads(stage, numbers.numel()))
            head = next((n for n, piece in pieces if same(numbers, piece)), None)
            if head is not None:
                found = StageMatch("right", stage, head=head)
                if stage.is_named:
                    return found
    return found


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


def _is_laid_out(value: Tensor, stage: Tensor) -> bool:
    """Whether the value is a permutation of the stage's axes, merged or split into heads."""
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
                continue  # swapped axes of equal size are a transpose, not another layout
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
    """Whether merging neighbouring axes of a shape gives the other shape."""
    steps = list(itertools.accumulate(shape, int.__mul__))
    return all(step in steps for step in itertools.accumulate(wanted, int.__mul__))
