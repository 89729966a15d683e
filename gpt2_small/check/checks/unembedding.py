"""Unembedding: the shared checks."""

from gpt2_small.check import probes
from gpt2_small.check.checks.modules import module_checks
from gpt2_small.check.checks.subject import Subject

SUBJECT = Subject("Unembedding", probes.residual, scales=(1.0, 20.0))

CHECKS = module_checks(SUBJECT)
