"""State the claims about LayerNorm: the shared ones, constant rows, epsilon."""

from types import ModuleType

from gpt2_small.checker.claims import Claim
from gpt2_small.checker.claims.modules.every_module import module_claims
from gpt2_small.checker.claims.observing import probes
from gpt2_small.checker.claims.observing.observation import Observation
from gpt2_small.checker.claims.observing.subject import Subject

# At a size of 3e-4 the variance, 9e-8, is far below epsilon, 1e-5, so epsilon dominates.
SUBJECT = Subject("LayerNorm", probes.residual, scales=(1.0, 30.0, 3e-4))


def constant_rows(module: ModuleType, seed: int) -> Observation:
    """The output for positions of variance 0, finite because of epsilon.

    The rounding error of the mean is divided by sqrt(epsilon), 0.003, so the numbers are small.
    """
    model = SUBJECT.build(module, seed)
    given = SUBJECT.values(seed, "constant rows")
    given[0, 1], given[1, 3] = 0.0, 0.0625
    return {"the output for rows of equal numbers": SUBJECT.run(model, given)}


def other_epsilon(module: ModuleType, seed: int) -> Observation:
    model = SUBJECT.build(module, seed, layer_norm_eps=0.02)
    given = SUBJECT.values(seed, "other epsilon", scale=0.1)
    return {"the output with layer_norm_eps = 0.02": SUBJECT.run(model, given)}


def large_mean(module: ModuleType, seed: int) -> Observation:
    """The output for a mean of 100; the difference of two squares is rounded there.

    E[x^2] - E[x]^2 is right in exact arithmetic: this fails no part.
    """
    model = SUBJECT.build(module, seed)
    given = SUBJECT.values(seed, "large mean") + 100.0
    name = "the output for a mean of 100, where E[x^2] - E[x]^2 loses its digits,"
    return {name: SUBJECT.run(model, given)}


CLAIMS = (
    *module_claims(SUBJECT),
    Claim("LayerNorm", "a constant row gives the bias, not NaN", constant_rows),
    Claim("LayerNorm", "correct output for a large mean", large_mean, required=False),
    Claim("LayerNorm", "epsilon is config.layer_norm_eps", other_epsilon),
)
