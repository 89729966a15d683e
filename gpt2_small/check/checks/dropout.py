"""Dropout: on in training, off in evaluation, and the same on average."""

from functools import partial
from types import ModuleType

import torch

from gpt2_small.check.checks import Check
from gpt2_small.check.checks.subject import Subject
from gpt2_small.check.observation import Estimate, Observation

_DROPOUT = 0.25
_RUNS = 64
_ACTS = "dropout in training mode"
_BIAS = "the relative change of the mean output by dropout"


def dropout_checks(subject: Subject, unbiased: bool = True) -> tuple[Check, ...]:
    """The two checks of a part that has dropout.

    unbiased: whether the mean output is that without dropout; else it is the reference's mean.
    """
    return (
        Check(
            subject.name,
            "In evaluation mode nothing is dropped",
            partial(in_evaluation, subject),
        ),
        Check(
            subject.name,
            "In training mode dropout drops, and has the right average",
            partial(in_training, subject),
            expect=_no_bias if unbiased else None,
        ),
    )


def _no_bias(_reference: ModuleType, _seed: int) -> Observation:
    return {_ACTS: "acts", _BIAS: Estimate(0.0)}


def in_evaluation(subject: Subject, module: ModuleType, seed: int) -> Observation:
    model = subject.build(module, seed, dropout=_DROPOUT).double()
    given = subject.values(seed, "dropout", torch.float64)
    return {"the output in evaluation mode with dropout 0.25": subject.run(model, given)}


def in_training(subject: Subject, module: ModuleType, seed: int) -> Observation:
    """Whether two runs differ, and how far their mean is from the output without dropout.

    The bias is the mean over runs and elements of the deviation times the output, in units of the
    mean square; runs are independent, so that their spread gives its standard error.
    """
    model = subject.build(module, seed, dropout=_DROPOUT).double()
    given = subject.values(seed, "dropout", torch.float64)
    with torch.no_grad():
        plain = subject.run(model, given)
        model.train()
        runs = torch.stack([subject.run(model, given) for _ in range(_RUNS)])
    spread = (runs - runs[0]).abs().max().item()
    bias = ((runs - plain) * plain).flatten(1).mean(dim=1) / plain.square().mean()
    error = bias.std().item() / _RUNS**0.5
    return {
        _ACTS: "acts" if spread > 1e-9 else "does nothing",
        _BIAS: Estimate(bias.mean().item(), error),
    }
