"""Hold and compare the tensors of intermediate results."""

from dataclasses import dataclass

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


def numbers_of(value: Tensor) -> Tensor:
    """A tensor's sorted numbers, with a single value for masked scores."""
    flat = value.detach().double().flatten()
    return torch.where(flat <= HIDDEN, torch.full_like(flat, MASKED), flat).sort().values


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


def stage_of(name: str, value: Tensor) -> Stage:
    """A stage, with its sorted numbers."""
    return Stage(name, value, numbers_of(value))
