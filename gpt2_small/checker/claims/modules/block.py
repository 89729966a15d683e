"""State the claims about TransformerBlock: the shared ones, and no dropout of its own."""

from types import ModuleType

from gpt2_small.checker.claims import Claim
from gpt2_small.checker.claims.modules.dropout import DROPOUT, parts_dropping_nothing
from gpt2_small.checker.claims.modules.every_module import module_claims
from gpt2_small.checker.claims.observing import probes
from gpt2_small.checker.claims.observing.observation import Observation
from gpt2_small.checker.claims.observing.subject import Subject

SUBJECT = Subject("TransformerBlock", probes.residual, scales=(1.0, 5.0, 0.05))


def drops_nothing_itself(module: ModuleType, seed: int) -> Observation:
    """The output in training mode with the dropout inside of its parts off."""
    model = SUBJECT.build(module, seed, dropout=DROPOUT)
    given = SUBJECT.values(seed, "own dropout")
    with parts_dropping_nothing(model):
        SUBJECT.run(model, given)
    return {
        "the output in training mode without the dropout of its parts": SUBJECT.run(model, given)
    }


CLAIMS = (
    *module_claims(SUBJECT),
    Claim(
        "TransformerBlock",
        "no dropout besides that of the attention and the MLP",
        drops_nothing_itself,
        group="dropout",
    ),
)
