"""MultiHeadAttention: the shared checks, dropout, and causality."""

from types import ModuleType

import torch

from gpt2_small.checker.claims import Check, probes
from gpt2_small.checker.claims.dropout import DROPOUT, dropout_checks, share
from gpt2_small.checker.claims.modules import module_checks
from gpt2_small.checker.claims.observation import Estimate, Observation
from gpt2_small.checker.claims.subject import Subject

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


def dropped(module: ModuleType, seed: int) -> Observation:
    """What is zero in training mode, when each head writes ones to features of its own.

    All scores are equal, all values 1. The first position has one key, so that a dropped entry of
    the pattern leaves its head nothing to write; eleven keys are not dropped at once.
    """
    model = SUBJECT.build(module, seed, dropout=DROPOUT).train()
    shapes = SUBJECT.contract()
    values = {name: torch.zeros(shape) for name, shape in shapes.items()}
    heads, d_head, _ = shapes["W_O"]
    values["b_V"] = torch.ones(shapes["b_V"])
    values["W_O"] = torch.eye(heads * d_head).reshape(shapes["W_O"])
    probes.load_values(model, values)
    output = SUBJECT.run(model, SUBJECT.feed(seed, "dropped", batch=400))
    zero = output.unflatten(-1, (heads, d_head)) == 0
    silent = zero.all(dim=-1)
    return {
        "the share of heads that are silent at the first position": share(silent[:, 0]),
        "the share of heads that are silent at the eleventh position": share(silent[:, -1]),
        "the share of zeros at the eleventh position": share(zero[:, -1]),
    }


def expected_dropped(_reference: ModuleType, _seed: int) -> Observation:
    return {
        "the share of heads that are silent at the first position": Estimate(DROPOUT),
        "the share of heads that are silent at the eleventh position": Estimate(0.0),
        "the share of zeros at the eleventh position": Estimate(DROPOUT),
    }


CHECKS = (
    *module_checks(SUBJECT),
    Check("MultiHeadAttention", "No position sees a later one", causality),
    *dropout_checks(SUBJECT),
    Check(
        "MultiHeadAttention",
        "Dropout zeroes entries of the pattern, and elements of the output",
        dropped,
        expect=expected_dropped,
        group="dropout",
    ),
)
