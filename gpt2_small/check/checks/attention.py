"""MultiHeadAttention: the shared checks, dropout, and causality."""

from types import ModuleType

import torch

from gpt2_small.check import probes
from gpt2_small.check.checks import Check
from gpt2_small.check.checks.dropout import dropout_checks
from gpt2_small.check.checks.modules import module_checks
from gpt2_small.check.checks.subject import Subject
from gpt2_small.check.observation import Observation

SUBJECT = Subject("MultiHeadAttention", probes.residual, scales=(1.0, 4.0, 0.1))


def causality(module: ModuleType, seed: int) -> Observation:
    """How far each position's output moves when all later positions are replaced."""
    model = SUBJECT.build(module, seed).double()
    given = SUBJECT.values(seed, "causality", torch.float64)
    other = SUBJECT.values(seed, "another future", torch.float64)
    before = SUBJECT.run(model, given)
    moved = []
    for position in range(probes.SEQ):
        changed = torch.cat([given[:, : position + 1], other[:, position + 1 :]], dim=1)
        after = SUBJECT.run(model, changed)
        moved.append((after - before)[:, : position + 1].abs().max())
    return {"how far a position moves when the later ones change": torch.stack(moved)}


CHECKS = (
    *module_checks(SUBJECT),
    Check("MultiHeadAttention", "No position sees a later one", causality),
    *dropout_checks(SUBJECT),
)
