"""Observe where sample's random numbers come from, and whether its rows are independent."""

from types import ModuleType

import torch
from torch import Tensor

from gpt2_small.checker.claims.judging.token_distribution import tokens_of
from gpt2_small.checker.claims.observing import probes
from gpt2_small.checker.claims.observing.observation import Counts, Distribution, Entry, Observation

_PAIRS = 1500
_OF_THREE = (0.5, 0.2, 0.3)
_JOINT = "pairs of tokens drawn for two rows of one call"


def pairs(module: ModuleType, seed: int) -> Observation:
    """Tokens for many rows of equal logits, in one call."""
    rows = torch.tensor(_OF_THREE).log().repeat(2 * _PAIRS, 1)
    got = tokens_of(module, rows, generator=probes.draws(seed, "pairs"))
    return {_JOINT: got}


def joint_counts(seen: Observation) -> Observation:
    got = seen[_JOINT]
    assert isinstance(got, Tensor)
    first, second = got.view(_PAIRS, 2).T
    return {_JOINT: Counts(torch.bincount(3 * first + second, minlength=9)[None])}


def independent(_reference: ModuleType, _seed: int) -> Observation:
    shares = torch.tensor(_OF_THREE, dtype=torch.float64)
    return {_JOINT: Distribution(torch.outer(shares, shares).flatten()[None])}


_DRAWN = (
    ("equally seeded generators", "the same"),
    ("differently seeded generators", "different"),
    ("one generator in two calls", "different"),
    ("torch's generator with equal seeds", "the same"),
    ("torch's generator with different seeds", "different"),
    ("torch's generator in two calls", "different"),
)


def chance(module: ModuleType, seed: int) -> Observation:
    """Tokens drawn with equal and different seeds, from a generator and torch's default one."""
    rows = torch.zeros(200, 29)

    def draw(number: int) -> Tensor:
        tokens: Tensor = tokens_of(module, rows, generator=torch.Generator().manual_seed(number))
        return tokens

    def draw_from_torch(number: int) -> Tensor:
        torch.default_generator.manual_seed(number)
        tokens: Tensor = tokens_of(module, rows)
        return tokens

    seen: dict[str, Entry] = {}
    one = torch.Generator().manual_seed(seed)
    pairs = [
        (draw(seed), draw(seed)),
        (draw(seed), draw(seed + 1)),
        (tokens_of(module, rows, generator=one), tokens_of(module, rows, generator=one)),
        (draw_from_torch(seed), draw_from_torch(seed)),
        (draw_from_torch(seed), draw_from_torch(seed + 1)),
        (draw_from_torch(seed), tokens_of(module, rows)),
    ]
    for (source, _), pair in zip(_DRAWN, pairs, strict=True):
        seen[f"draws from {source}"] = torch.stack(pair)
    return seen


def equalities(seen: Observation) -> Observation:
    """Whether the two draws of every entry are equal."""
    return {name: _equality(pair) for name, pair in seen.items()}


def _equality(pair: Entry) -> str:
    assert isinstance(pair, Tensor)
    return "the same" if torch.equal(pair[0], pair[1]) else "different"


def as_seeded(_reference: ModuleType, _seed: int) -> Observation:
    return {f"draws from {source}": wanted for source, wanted in _DRAWN}
