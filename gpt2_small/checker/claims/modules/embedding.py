"""State the claims about Embedding: the shared ones."""

from gpt2_small.checker.claims.modules.every_module import module_claims
from gpt2_small.checker.claims.observing import probes
from gpt2_small.checker.claims.observing.subject import Subject

SUBJECT = Subject("Embedding", probes.tokens)

CLAIMS = module_claims(SUBJECT)
