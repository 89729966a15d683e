"""State the claims about MLP: the shared ones, and dropout."""

from gpt2_small.checker.claims.modules.dropout import dropout_claims, zeros_claim
from gpt2_small.checker.claims.modules.every_module import module_claims
from gpt2_small.checker.claims.observing import probes
from gpt2_small.checker.claims.observing.subject import Subject

# Exact GELU and its approximation differ most around 2; size 5 reaches the tails.
SUBJECT = Subject("MLP", probes.residual, scales=(1.0, 5.0, 0.05))

CLAIMS = (*module_claims(SUBJECT), *dropout_claims(SUBJECT), zeros_claim(SUBJECT))
