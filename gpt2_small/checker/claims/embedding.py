"""Embedding: the shared checks."""

from gpt2_small.checker.claims import probes
from gpt2_small.checker.claims.modules import module_checks
from gpt2_small.checker.claims.subject import Subject

SUBJECT = Subject("Embedding", probes.tokens)

CHECKS = module_checks(SUBJECT)
