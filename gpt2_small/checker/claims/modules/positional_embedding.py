"""State the claims about PositionalEmbedding: the shared ones, and independence of the tokens."""

from types import ModuleType

import torch

from gpt2_small.checker.claims import Claim
from gpt2_small.checker.claims.modules.every_module import module_claims
from gpt2_small.checker.claims.observing import probes
from gpt2_small.checker.claims.observing.observation import Observation
from gpt2_small.checker.claims.observing.refusals import ending
from gpt2_small.checker.claims.observing.subject import Subject

SUBJECT = Subject("PositionalEmbedding", probes.tokens)
BEYOND = f"{probes.SIZES['n_ctx'] + 3} positions where n_ctx is {probes.SIZES['n_ctx']}"


def invents_nothing(module: ModuleType, seed: int) -> Observation:
    model = SUBJECT.build(module, seed)
    given = probes.tokens(seed, "too long", seq=probes.SIZES["n_ctx"] + 3)
    return {BEYOND: ending(lambda: model(given))}


def whatever_the_tokens(module: ModuleType, seed: int) -> Observation:
    """The output for tokens with 50256, GPT-2's <|endoftext|>, which does not restart positions."""
    model = SUBJECT.build(module, seed)
    given = torch.tensor([[5, 50256, 7, 50256, 50256, 3], [50256, 1, 2, 3, 4, 5]])
    return {"the output for tokens of which some are 50256": SUBJECT.run(model, given)}


CLAIMS = (
    *module_claims(SUBJECT),
    Claim(
        "PositionalEmbedding",
        "positions do not depend on the token ids",
        whatever_the_tokens,
    ),
    Claim(
        "PositionalEmbedding",
        "ValueError for more than n_ctx positions",
        invents_nothing,
        group="refusals",
    ),
)
