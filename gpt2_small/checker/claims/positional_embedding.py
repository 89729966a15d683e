"""PositionalEmbedding: the shared checks, and positions that there are not."""

from types import ModuleType

from gpt2_small.checker.claims import Check, probes
from gpt2_small.checker.claims.failure import Failure
from gpt2_small.checker.claims.modules import module_checks
from gpt2_small.checker.claims.observation import Observation
from gpt2_small.checker.claims.subject import Subject

SUBJECT = Subject("PositionalEmbedding", probes.tokens)
_BEYOND = "three positions more than n_ctx"


def invents_nothing(module: ModuleType, seed: int) -> Observation:
    """There are n_ctx vectors. More are refused here, or are missing when they are added."""
    model = SUBJECT.build(module, seed)
    given = probes.tokens(seed, "too long", seq=probes.SIZES["n_ctx"] + 3)
    try:
        output = SUBJECT.run(model, given)
    except Exception:
        return {_BEYOND: "get no vectors"}
    if output.shape[:2] != given.shape:
        return {_BEYOND: "get no vectors"}
    raise Failure(f"{_BEYOND} are given vectors of other positions", {_BEYOND: "get vectors"})


CHECKS = (
    *module_checks(SUBJECT),
    Check(
        "PositionalEmbedding",
        "There are no vectors beyond n_ctx",
        invents_nothing,
        group="refusals",
    ),
)
