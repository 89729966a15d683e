"""State the claims about Unembedding: the shared ones."""

from gpt2_small.checker.claims.modules.every_module import module_claims
from gpt2_small.checker.claims.observing import probes
from gpt2_small.checker.claims.observing.subject import Subject

SUBJECT = Subject("Unembedding", probes.residual, scales=(1.0, 20.0))

CLAIMS = module_claims(SUBJECT)
