"""Observe where generate's random numbers come from, and whether its calls use them up."""

from types import ModuleType

import torch
from torch import Tensor

from gpt2_small.checker.claims.functions.generation_inputs import model_of, prompt
from gpt2_small.checker.claims.observing import probes
from gpt2_small.checker.claims.observing.observation import Observation
from gpt2_small.checker.claims.observing.token_models import fixed

_VOCAB = 600


def repeatable(module: ModuleType, seed: int) -> Observation:
    """Tokens generated twice: with one seed, with two, and in two calls one after the other."""

    def seeded(number: int) -> torch.Generator:
        return torch.Generator().manual_seed(number)

    def go(generator: torch.Generator | None) -> Tensor:
        model = model_of(module, seed)
        tokens: Tensor = module.generate(
            model, prompt(seed, 4), 8, temperature=3.0, generator=generator
        )
        return tokens

    one = seeded(seed)
    runs = {
        "with equally seeded generators": (go(seeded(seed)), go(seeded(seed))),
        "with differently seeded generators": (go(seeded(seed)), go(seeded(seed + 1))),
        "with one generator": (go(one), go(one)),
        "without a generator": (go(None), go(None)),
    }
    return {
        **{f"two runs {kind}": torch.stack(pair) for kind, pair in runs.items()},
        "eight tokens drawn from equal logits": _first_and_others(module, seeded(seed)),
        "eight tokens drawn from equal logits without a generator": _first_and_others(module, None),
    }


def _first_and_others(module: ModuleType, generator: torch.Generator | None) -> Tensor:
    """The first of eight equally likely tokens seven times, and the others [2 7]."""
    model = fixed(module, torch.zeros(_VOCAB))
    given = torch.zeros(1, 1, dtype=torch.int64)
    got = module.generate(model, given, 8, generator=generator)
    drawn = probes.tensor(got, "what generate returns")[0, 1:]
    return torch.stack([drawn[:1].expand(len(drawn) - 1), drawn[1:]])


def as_seeded(_reference: ModuleType, _seed: int) -> Observation:
    return {
        "eight tokens drawn from equal logits": "different",
        "eight tokens drawn from equal logits without a generator": "different",
        "two runs with equally seeded generators": "the same",
        "two runs with differently seeded generators": "different",
        "two runs with one generator": "different",
        "two runs without a generator": "different",
    }
