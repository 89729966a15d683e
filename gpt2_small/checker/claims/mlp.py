"""MLP: the shared checks, and dropout."""

from gpt2_small.checker.claims import probes
from gpt2_small.checker.claims.dropout import dropout_checks, zeros_check
from gpt2_small.checker.claims.modules import module_checks
from gpt2_small.checker.claims.subject import Subject

# Exact GELU and its approximation are furthest apart around 2; at 5 the tails show.
SUBJECT = Subject("MLP", probes.residual, scales=(1.0, 5.0, 0.05))

CHECKS = (*module_checks(SUBJECT), *dropout_checks(SUBJECT), zeros_check(SUBJECT))
