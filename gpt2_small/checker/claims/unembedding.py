"""Unembedding: the shared checks."""

from gpt2_small.checker.claims import probes
from gpt2_small.checker.claims.modules import module_checks
from gpt2_small.checker.claims.subject import Subject

SUBJECT = Subject("Unembedding", probes.residual, scales=(1.0, 20.0))

CHECKS = module_checks(SUBJECT)
