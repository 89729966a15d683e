"""What a check sees of a module: entries by name, and how far two sightings are apart."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

# float32: as for the reference itself, where other orders of summing move results by some 1e-6.
# float64: constants kept in float32 (a tensor holding sqrt(d_head), say) move results by 6e-8; the
# check is that the file computes in float64 at all, where float32 would be off by 1e-7 and grow.
# bfloat16: 8 bits a number, 0.4 % an operation, over the few operations of a part.
TOLERANCES = {torch.float64: 1e-6, torch.float32: 2e-5, torch.bfloat16: 0.06}

# Two wrong files may magnify rounding, so that float32 and bfloat16 cannot tell; float64 decides.
ALIKE = {torch.float64: 1e-6, torch.float32: 1e-2, torch.bfloat16: math.inf}

# An estimate further off than this many of its standard errors happens by chance less than once in
# 500 million (two sides of a normal distribution).
STANDARD_ERRORS = 6.0

# All checks of drawn tokens together blame correct code at most this often.
FALSE_ALARM = 1e-6

# An inner activation: a file may leave it out.
TAP = "tap "


@dataclass(frozen=True)
class Estimate:
    """A statistic with the standard error that chance gives it; 0 for a value known exactly."""

    value: float
    error: float = 0.0


@dataclass(frozen=True)
class Counts:
    """How often each token was drawn [cases d_vocab], each case drawn equally often."""

    counts: Tensor

    @property
    def shape(self) -> torch.Size:
        return self.counts.shape


@dataclass(frozen=True)
class Distribution:
    """The exact probability of each token [cases d_vocab], and how many comparisons there are."""

    probabilities: Tensor

    @property
    def shape(self) -> torch.Size:
        return self.probabilities.shape


Tolerances = Mapping[torch.dtype, float]
Entry = Tensor | str | Estimate | Counts | Distribution
Observation = Mapping[str, Entry]


def tolerance(expected: Tensor, tolerances: Tolerances = TOLERANCES) -> float:
    """The largest allowed difference: that of the dtype, times the largest value if above 1."""
    finite = expected[expected.isfinite()].abs()
    largest = finite.max().item() if finite.numel() else 0.0
    return tolerances.get(expected.dtype, 0.0) * max(1.0, largest)


def tensor_difference(seen: Tensor, expected: Tensor) -> Tensor:
    """Absolute differences; 0 where both are the same infinity or both NaN, infinite if one is."""
    a, b = seen.detach().to(torch.float64), expected.detach().to(torch.float64)
    same = (a == b) | (a.isnan() & b.isnan())
    return torch.where(same, torch.zeros_like(a), (a - b).abs().nan_to_num(nan=math.inf))


def entry_distance(
    seen: Entry | None, other: Entry | None, tolerances: Tolerances = TOLERANCES
) -> float:
    """How far two entries are apart, in units of what is allowed: up to 1 is equal."""
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
    rounding = 1e-6 * max(abs(seen.value), abs(other.value))
    return difference / max(allowed, rounding) if difference else 0.0


def _surprise(counts: Tensor, probabilities: Tensor) -> float:
    """The least likely cell, as a share of what may happen once in 1/FALSE_ALARM checks.

    A cell of probability p is seen in at least the share q of n draws with a probability of at most
    exp(-n KL(q, p)), from below likewise (Chernoff 1952); with a union over both sides of all cells
    the rate holds for the whole check.
    """
    draws = counts.sum(dim=-1, keepdim=True).to(torch.float64)
    q, p = counts.to(torch.float64) / draws, probabilities.to(torch.float64)
    kl = torch.special.xlogy(q, q) - torch.special.xlogy(q, p)
    kl = kl + torch.special.xlogy(1 - q, 1 - q) - torch.special.xlogy(1 - q, 1 - p)
    surprise = (draws * kl).max().item()
    return surprise / math.log(2 * counts.numel() / FALSE_ALARM)


def alike(seen: Observation, other: Observation) -> bool:
    """Whether two observations are of the same behaviour, each rounded in its own way.

    Taps count where both have them.
    """
    names = [*seen, *(name for name in other if name not in seen)]
    pairs = (_both(seen, other, name) for name in names)
    return all(entry_distance(*pair, tolerances=ALIKE) <= 1 for pair in pairs)


def _both(seen: Observation, other: Observation, name: str) -> tuple[Entry | None, Entry | None]:
    if name.startswith(TAP) and (name not in seen or name not in other):
        return "", ""
    return seen.get(name), other.get(name)


def first_difference(seen: Observation, expected: Observation) -> str | None:
    """The first entry that is not as expected."""
    names = [*expected, *(name for name in seen if name not in expected)]
    for name in names:
        if not entry_distance(*_both(seen, expected, name)) <= 1:
            return name
    return None


def value_distance(seen: Observation, other: Observation) -> float:
    """The largest difference of any number, relative to the largest if that is above 1.

    Of whole numbers, the share that differs.
    """
    worst = 0.0
    for name, entry in other.items():
        mine = seen.get(name)
        if isinstance(entry, Tensor) and isinstance(mine, Tensor) and mine.shape == entry.shape:
            if entry.numel() and entry.dtype in (torch.float32, torch.float64):
                scale = tolerance(entry) / TOLERANCES[entry.dtype]
                worst = max(worst, tensor_difference(mine, entry).max().item() / scale)
            elif entry.numel() and not entry.is_floating_point():
                worst = max(worst, (mine != entry).double().mean().item())
        elif isinstance(entry, Counts) and isinstance(mine, Counts) and mine.shape == entry.shape:
            total = entry.counts.sum(dim=-1).max().item()
            worst = max(worst, (mine.counts - entry.counts).abs().max().item() / total)
        elif isinstance(entry, Estimate) and isinstance(mine, Estimate):
            worst = max(worst, abs(mine.value - entry.value))
    return worst


def pack(observation: Observation) -> bytes:
    """An observation as safetensors bytes, to be sent between processes."""
    tensors: dict[str, Tensor] = {}
    rest: dict[str, Any] = {}
    for name, entry in observation.items():
        if isinstance(entry, Tensor):
            tensors[name] = entry.detach().to("cpu").contiguous().clone()
        elif isinstance(entry, Counts):
            tensors[name] = entry.counts.contiguous().clone()
            rest[name] = "counts"
        elif isinstance(entry, Estimate):
            rest[name] = [entry.value, entry.error]
        elif isinstance(entry, str):
            rest[name] = {"text": entry}
    order = json.dumps(list(observation))
    return save(tensors, metadata={"rest": json.dumps(rest), "order": order})


def unpack(data: bytes) -> Observation:
    """What `pack` packed. Raises ValueError for anything else."""
    try:
        tensors = load(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
        rest, order = json.loads(header["rest"]), json.loads(header["order"])
        return {name: _unpacked(tensors.get(name), rest.get(name)) for name in order}
    except Exception as error:
        raise ValueError(f"not an observation: {error}") from error


def _unpacked(tensor: Tensor | None, rest: Any) -> Entry:
    if tensor is not None:
        return Counts(tensor) if rest == "counts" else tensor
    return rest["text"] if isinstance(rest, dict) else Estimate(*map(float, rest))
