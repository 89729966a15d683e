"""Observe each position's output when all later positions are replaced."""

from collections.abc import Callable
from types import ModuleType

import torch
from torch import Tensor

from gpt2_small.checker.claims.observing import probes
from gpt2_small.checker.claims.observing.observation import Observation

_WITH, _WITHOUT = "the outputs before one changed future", "the outputs of other futures"
_MOVED = "the change of a position when later ones change"


def futures(run: Callable[[Tensor], Tensor], given: Tensor, other: Tensor) -> Observation:
    """The outputs for inputs [batch seq ...], unchanged and with other later positions."""
    changed = [
        run(torch.cat([given[:, : position + 1], other[:, position + 1 :]], dim=1))
        for position in range(probes.SEQ)
    ]
    return {_WITH: run(given), _WITHOUT: torch.stack(changed)}


def how_far_moved(seen: Observation) -> Observation:
    """The largest change at or before each position."""
    before, after = seen[_WITH], seen[_WITHOUT]
    if not isinstance(before, Tensor) or not isinstance(after, Tensor):
        return seen
    if after.shape != (probes.SEQ, *before.shape) or before.dim() < 2:
        return seen
    moved = [
        (after[position] - before)[:, : position + 1].abs().max()
        for position in range(min(probes.SEQ, before.shape[1]))
    ]
    return {_MOVED: torch.stack(moved)}


def nothing_moves(_reference: ModuleType, _seed: int) -> Observation:
    return {_MOVED: torch.zeros(probes.SEQ)}
