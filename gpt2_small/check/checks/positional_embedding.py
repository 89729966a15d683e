"""PositionalEmbedding: the shared checks."""

from gpt2_small.check import probes
from gpt2_small.check.checks.modules import module_checks
from gpt2_small.check.checks.subject import Subject

SUBJECT = Subject("PositionalEmbedding", probes.tokens)

CHECKS = module_checks(SUBJECT)
