"""TransformerBlock: the shared checks."""

from gpt2_small.check import probes
from gpt2_small.check.checks.modules import module_checks
from gpt2_small.check.checks.subject import Subject

SUBJECT = Subject("TransformerBlock", probes.residual, scales=(1.0, 5.0, 0.05))

CHECKS = module_checks(SUBJECT)
