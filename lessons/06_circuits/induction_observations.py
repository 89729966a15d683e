"""Observe the induction scores of heads, and compute the same in a loop."""

from functools import partial
from types import ModuleType

import torch
from torch import Tensor

from gpt2_small.checker.claims.observing.observation import Observation
from gpt2_small.checker.claims.observing.probes import draws, tensor
from gpt2_small.checker.claims.observing.refusals import ending


def repeated_tokens(seed: int) -> Tensor:
    """Return two rows with tokens that occur once, twice and three times; one has a pair a a."""
    drawn = torch.randint(0, 6, (2, 12), generator=draws(seed, "repeated"))
    drawn[0, :5] = torch.tensor([1, 2, 3, 1, 2])
    drawn[1, :5] = torch.tensor([9, 4, 4, 4, 8])
    return drawn


def pattern_of(seed: int, seq: int = 12) -> Tensor:
    noise = torch.randn(2, 3, seq, seq, generator=draws(seed, "pattern"), dtype=torch.float64)
    future = torch.ones(seq, seq, dtype=torch.bool).triu(diagonal=1)
    return (2 * noise).masked_fill(future, -torch.inf).softmax(dim=-1)


def scored(module: ModuleType, seed: int) -> Observation:
    made = module.induction_scores(pattern_of(seed), repeated_tokens(seed))
    return {"the score of each head": tensor(made, "induction_scores").double()}


def scored_in_a_loop(_reference: ModuleType, seed: int) -> Observation:
    pattern, tokens = pattern_of(seed), repeated_tokens(seed).tolist()
    total, asked = torch.zeros(3, dtype=torch.float64), 0
    for row, ids in enumerate(tokens):
        for query in range(12):
            earlier = [place for place in range(query) if ids[place] == ids[query]]
            asked += bool(earlier)
            for place in earlier:
                total += pattern[row, :, query, place + 1]
    return {"the score of each head": total / asked}


def scored_at_the_ends(module: ModuleType, _seed: int) -> Observation:
    """Score heads that always look at the induction key, at the same token, and before it."""
    tokens = torch.tensor([[1, 2, 3, 4, 1, 2, 3, 4]])
    heads = torch.zeros(1, 3, 8, 8, dtype=torch.float64)
    for query in range(8):
        for head, distance in enumerate((3, 4, 1)):
            heads[0, head, query, max(query - distance, 0)] = 1
    made = module.induction_scores(heads, tokens)
    return {"an induction head, a head for equal tokens, one for the token before": made.double()}


def score_refusals(module: ModuleType, seed: int) -> Observation:
    tokens = torch.arange(12).expand(2, 12)
    call = partial(module.induction_scores, pattern_of(seed), tokens)
    return {"tokens that do not repeat": ending(call)}
