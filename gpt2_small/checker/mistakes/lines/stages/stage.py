"""Hold and compare the tensors of intermediate results."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from gpt2_small.checker.claims.judging.tolerances import STAGES

# Masked scores: below this, exp gives 0 in a softmax.
HIDDEN = -1e4
MASKED = -54321.0


@dataclass(frozen=True)
class Stage:
    """A result of the reference.

    name: its name; that of an unnamed step begins with "a step".
    is_extra: whether only other right files compute it. is_given: whether it is the part's input or
        a parameter, in whatever layout.
    """

    name: str
    value: Tensor
    numbers: Tensor
    is_extra: bool = False
    is_given: bool = False

    @property
    def is_named(self) -> bool:
        return not self.name.startswith("a step")

    def numbers_along(self, axis: int) -> Tensor:
        """The sorted numbers of each piece along an axis [piece number]."""
        if axis not in self._along:
            pieces = self.value.detach().double().movedim(axis, 0).flatten(start_dim=1)
            self._along[axis] = _in_order(pieces)
        return self._along[axis]

    @cached_property
    def _along(self) -> dict[int, Tensor]:
        return {}


def numbers_of(value: Tensor) -> Tensor:
    """A tensor's sorted numbers, with a single value for masked scores."""
    return _in_order(value.detach().double().flatten())


def _in_order(numbers: Tensor) -> Tensor:
    return torch.where(numbers <= HIDDEN, torch.full_like(numbers, MASKED), numbers).sort().values


def fingerprint(value: Tensor) -> tuple[float, float, float, float]:
    """Four sums that identify a tensor's numbers in any order."""
    flat = value.detach().double().flatten()
    flat = torch.where(flat <= HIDDEN, torch.full_like(flat, MASKED), flat)
    largest = flat.max().item() if flat.numel() else 0.0
    return float(flat.numel()), flat.sum().item(), flat.square().sum().item(), largest


def same(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors of one shape are equal within rounding."""
    if a.shape != b.shape or a.isnan().any() or b.isnan().any():
        return False
    if not a.numel():
        return True
    largest = b[b != MASKED].abs().max().item() if bool((b != MASKED).any()) else 1.0
    return bool(((a == b) | ((a - b).abs() <= STAGES * max(1.0, largest))).all())


def pieces_like(numbers: Tensor, pieces: Tensor) -> list[int]:
    """The indices of the pieces [piece number] that are the `same` as these numbers."""
    if numbers.isnan().any():
        return []
    largest = torch.where(pieces == MASKED, 0.0, pieces).abs().amax(dim=-1, keepdim=True)
    allowed = STAGES * largest.clamp(min=1.0)
    like = ((pieces == numbers) | ((pieces - numbers).abs() <= allowed)).all(dim=-1)
    return (like & ~pieces.isnan().any(dim=-1)).nonzero().flatten().tolist()


def stage_of(name: str, value: Tensor) -> Stage:
    """A stage, with its sorted numbers."""
    return Stage(name, value, numbers_of(value))
