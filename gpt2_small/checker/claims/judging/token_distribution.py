"""Compute the exact distribution of `sample` for known logits, and count draws from it."""

from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from gpt2_small.checker.claims.observing import probes
from gpt2_small.checker.claims.observing.observation import Counts, Distribution, Entry, Observation

DRAWS = 2_000

# Each row is cut at another place; no top_p below is near a cumulative sum of a row, whether of
# its largest or of its smallest probabilities.
_PROBABILITIES = (
    (0.40, 0.25, 0.15, 0.10, 0.06, 0.03, 0.01),
    (0.55, 0.20, 0.10, 0.06, 0.05, 0.03, 0.01),
    (0.28, 0.22, 0.18, 0.13, 0.09, 0.06, 0.04),
)
_ROWS, _D_VOCAB = len(_PROBABILITIES), len(_PROBABILITIES[0])


def tokens_of(module: ModuleType, logits: Tensor, **settings: Any) -> Tensor:
    """The tokens that `sample` draws, as int64; other types of integers are correct too."""
    got = probes.tensor(module.sample(logits, **settings), "what sample returns")
    return got.long() if got.dtype in (torch.int32, torch.int16, torch.uint8) else got


def cases(seed: int) -> Tensor:
    """Logits [case d_vocab], with different probabilities and orders.

    Cases are shifted by constants, some so far that exponentials overflow. The largest logit of
    the first case is exactly 0.
    """
    generator = probes.draws(seed, "sampling")
    rows = torch.tensor(_PROBABILITIES, dtype=torch.float64).log()
    orders = [torch.randperm(_D_VOCAB, generator=generator) for _ in range(_ROWS)]
    shifts = torch.tensor([0.0, 100.0, -100.0])
    cases = zip(rows, orders, shifts, strict=True)
    return torch.stack([row[order] - row.max() + shift for row, order, shift in cases]).float()


def probabilities(
    logits: Tensor,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> Tensor:
    """The exact distribution after temperature, top_k and top_p."""
    shares = (logits.double() / temperature).softmax(dim=-1)
    for row in shares:
        order = sorted(range(len(row)), key=lambda token: -row[token].item())
        for token in order[top_k:] if top_k is not None else ():
            row[token] = 0
        row /= row.sum().item()
        reached = 0.0
        for token in order:
            share = row[token].item()
            if top_p is not None and reached >= top_p:
                row[token] = 0
            reached += share
        row /= row.sum().item()
    return shares


def counted(seen: Observation) -> Observation:
    """Counts of each case's tokens."""
    return {name: _counted(got) for name, got in seen.items()}


def _counted(got: Entry) -> Entry:
    """Counts of tokens drawn for repeated cases; a text if they are not tokens."""
    if not isinstance(got, Tensor):
        return got
    if got.shape != (DRAWS * _ROWS,) or got.dtype != torch.int64:
        return probes.text(got)
    if not bool(((got >= 0) & (got < _D_VOCAB)).all()):
        return "tokens outside the vocabulary"
    chosen = torch.nn.functional.one_hot(got, _D_VOCAB)
    return Counts(chosen.view(DRAWS, _ROWS, -1).sum(dim=0))


def exact(
    _reference: ModuleType, seed: int, *, settings: tuple[dict[str, Any], ...]
) -> Observation:
    return {
        described(setting): Distribution(probabilities(cases(seed), **setting))
        for setting in settings
    }


def described(setting: dict[str, Any]) -> str:
    return f"the draws with {listed(setting)}"


def listed(setting: dict[str, Any]) -> str:
    return ", ".join(f"{k}={v}" for k, v in setting.items()) or "no option"
