"""Define observations (entries by name), and compare two of them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from gpt2_small.checker.claims.judging.tolerances import (
    ALIKE,
    CLAIMS,
    FALSE_ALARM,
    ROUNDING,
    STANDARD_ERRORS,
    Tolerances,
    tolerance,
)

# Begins the name of an inner activation, which a file may lack.
TAP = "tap "


@dataclass(frozen=True)
class Estimate:
    """A statistic and its standard error; 0 for an exact value."""

    value: float
    error: float = 0.0


@dataclass(frozen=True)
class Counts:
    """Counts of drawn tokens [cases d_vocab], with equally many draws per case."""

    counts: Tensor

    @property
    def shape(self) -> torch.Size:
        return self.counts.shape


@dataclass(frozen=True)
class Distribution:
    """The exact probability of each token [cases d_vocab]."""

    probabilities: Tensor

    @property
    def shape(self) -> torch.Size:
        return self.probabilities.shape


Entry = Tensor | str | Estimate | Counts | Distribution
Observation = Mapping[str, Entry]


def tensor_difference(seen: Tensor, expected: Tensor) -> Tensor:
    """Absolute differences; 0 for equal infinities or two NaNs, infinite if only one is either."""
    a, b = seen.detach().to(torch.float64), expected.detach().to(torch.float64)
    same = (a == b) | (a.isnan() & b.isnan())
    return torch.where(
        same, torch.zeros_like(a), (a - b).abs().nan_to_num(nan=math.inf, posinf=math.inf)
    )


def entry_distance(
    seen: Entry | None, other: Entry | None, tolerances: Tolerances = CLAIMS
) -> float:
    """The distance of two entries in units of the tolerance: at most 1 means equal."""
    if isinstance(seen, Tensor) and isinstance(other, Tensor):
        if seen.shape != other.shape or seen.dtype != other.dtype:
            return math.inf
        if not seen.numel():
            return 0.0
        worst = tensor_difference(seen, other).max().item()
        allowed = tolerance(other, tolerances)
        return worst / allowed if allowed else (0.0 if worst == 0 else math.inf)
    if isinstance(seen, str) and isinstance(other, str):
        return 0.0 if seen == other else math.inf
    if isinstance(seen, Estimate) and isinstance(other, Estimate):
        return _estimate_distance(seen, other)
    if isinstance(seen, Counts) and seen.shape != getattr(other, "shape", None):
        return math.inf
    if isinstance(seen, Counts) and isinstance(other, Counts):
        spread = (seen.counts + other.counts + 1).sqrt()
        return ((seen.counts - other.counts).abs() / spread).max().item() / STANDARD_ERRORS
    if isinstance(seen, Counts) and isinstance(other, Distribution):
        return _surprise(seen.counts, other.probabilities)
    return math.inf


def _estimate_distance(seen: Estimate, other: Estimate) -> float:
    difference = abs(seen.value - other.value)
    allowed = STANDARD_ERRORS * math.hypot(seen.error, other.error)
    if not math.isfinite(difference):
        return 0.0 if str(seen.value) == str(other.value) else math.inf
    rounding = ROUNDING * max(abs(seen.value), abs(other.value))
    return difference / max(allowed, rounding) if difference else 0.0


def _surprise(counts: Tensor, probabilities: Tensor) -> float:
    """The largest surprise of a cell in units of the bound for a rate of FALSE_ALARM.

    A cell of probability p has a share of at least q in n draws with a probability of at most
    exp(-n KL(q, p)), and likewise from below (Chernoff 1952); by a union bound over both sides of
    all cells, the rate holds for the whole check.
    """
    draws = counts.sum(dim=-1, keepdim=True).to(torch.float64)
    q, p = counts.to(torch.float64) / draws, probabilities.to(torch.float64)
    kl = torch.special.xlogy(q, q) - torch.special.xlogy(q, p)
    kl = kl + torch.special.xlogy(1 - q, 1 - q) - torch.special.xlogy(1 - q, 1 - p)
    surprise = float((draws * kl).max())
    return surprise / math.log(2 * counts.numel() / FALSE_ALARM)


def alike(seen: Observation, other: Observation) -> bool:
    """Whether two observations are equal but for rounding.

    Taps are compared if both have them.
    """
    names = [*seen, *(name for name in other if name not in seen)]
    pairs = (_both(seen, other, name) for name in names)
    return all(entry_distance(*pair, tolerances=ALIKE) <= 1 for pair in pairs)


def _both(seen: Observation, other: Observation, name: str) -> tuple[Entry | None, Entry | None]:
    if name.startswith(TAP) and (name not in seen or name not in other):
        return "", ""
    return seen.get(name), other.get(name)


def first_difference(
    seen: Observation, expected: Observation, tolerances: Tolerances = CLAIMS
) -> str | None:
    """The name of the first entry that differs from the expectation."""
    names = [*expected, *(name for name in seen if name not in expected)]
    for name in names:
        if not entry_distance(*_both(seen, expected, name), tolerances=tolerances) <= 1:
            return name
    return None


def value_distance(seen: Observation, other: Observation) -> float:
    """The largest difference of any number, relative to the largest number if that is above 1.

    For integers, the share that differs.
    """
    worst = 0.0
    for name, entry in other.items():
        mine = seen.get(name)
        if isinstance(entry, Tensor) and isinstance(mine, Tensor) and mine.shape == entry.shape:
            if entry.numel() and entry.dtype in (torch.float32, torch.float64):
                scale = tolerance(entry) / CLAIMS[entry.dtype]
                worst = max(worst, tensor_difference(mine, entry).max().item() / scale)
            elif entry.numel() and not entry.is_floating_point():
                worst = max(worst, (mine != entry).double().mean().item())
        elif isinstance(entry, Counts) and isinstance(mine, Counts) and mine.shape == entry.shape:
            total = entry.counts.sum(dim=-1).max().item()
            worst = max(worst, (mine.counts - entry.counts).abs().max().item() / total)
        elif isinstance(entry, Estimate) and isinstance(mine, Estimate):
            worst = max(worst, abs(mine.value - entry.value))
    return worst
