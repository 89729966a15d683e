"""Dropout: on in training, off in evaluation, and the same on average."""

from functools import partial
from types import ModuleType

import torch
from torch import nn

from gpt2_small.checker.claims import Check
from gpt2_small.checker.claims.observation import Estimate, Observation
from gpt2_small.checker.claims.subject import Subject
from gpt2_small.checker.parts import PARTS

DROPOUT = 0.25
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
            group="dropout",
        ),
        Check(
            subject.name,
            "In training mode dropout drops, and has the right average",
            partial(in_training, subject),
            expect=_no_bias if unbiased else None,
            group="dropout",
        ),
    )


def _no_bias(_reference: ModuleType, _seed: int) -> Observation:
    return {_ACTS: "acts", _BIAS: Estimate(0.0)}


def in_evaluation(subject: Subject, module: ModuleType, seed: int) -> Observation:
    model = subject.build(module, seed, dropout=DROPOUT).double()
    given = subject.values(seed, "dropout", torch.float64)
    return {"the output in evaluation mode with dropout 0.25": subject.run(model, given)}


def in_training(subject: Subject, module: ModuleType, seed: int) -> Observation:
    """Whether two runs differ, and how far their mean is from the output without dropout.

    Parts inside the part, which are the reference's, drop nothing meanwhile.

    The bias is the mean over runs and elements of the deviation times the output, in units of the
    mean square; runs are independent, so that their spread gives its standard error.
    """
    model = subject.build(module, seed, dropout=DROPOUT).double()
    given = subject.values(seed, "dropout", torch.float64)
    with torch.no_grad():
        plain = subject.run(model, given)
        model.train()
        parts_drop_nothing(model)
        runs = torch.stack([subject.run(model, given) for _ in range(_RUNS)])
    spread = (runs - runs[0]).abs().max().item()
    bias = ((runs - plain) * plain).flatten(1).mean(dim=1) / plain.square().mean()
    error = bias.std().item() / _RUNS**0.5
    return {
        _ACTS: "acts" if spread > 1e-9 else "does nothing",
        _BIAS: Estimate(bias.mean().item(), error),
    }


def parts_drop_nothing(model: nn.Module) -> None:
    """Put the parts inside a part in evaluation mode."""
    for child in model.modules():
        if child is not model and type(child).__name__ in PARTS:
            child.eval()


def share(events: torch.Tensor) -> Estimate:
    """How often something happens that dropout makes happen, with the error of that many draws."""
    error = (DROPOUT * (1 - DROPOUT) / events.numel()) ** 0.5
    return Estimate(events.double().mean().item(), error)


_ZEROS = "the share of zeros in the output in training mode with dropout 0.25"
_KEPT = "the mean distance of what is not zero from the output without dropout, over 0.75"


def zeros_check(subject: Subject) -> Check:
    """For a part whose only dropout is its last act."""
    return Check(
        subject.name,
        "Dropout zeroes elements of the output, and divides the others by 1 - p",
        partial(zeros, subject),
        expect=lambda _reference, _seed: {_ZEROS: Estimate(DROPOUT), _KEPT: Estimate(0.0)},
        group="dropout",
    )


def zeros(subject: Subject, module: ModuleType, seed: int) -> Observation:
    model = subject.build(module, seed, dropout=DROPOUT).double()
    given = subject.values(seed, "zeros", torch.float64, batch=40)
    with torch.no_grad():
        plain = subject.run(model.eval(), given)
        output = subject.run(model.train(), given)
    zeroed, distance = dropped(plain, output)
    return {_ZEROS: zeroed, _KEPT: distance}


def dropped(plain: torch.Tensor, output: torch.Tensor) -> tuple[Estimate, Estimate]:
    """The share of zeros, and the mean distance of all others from the plain output over 1 - p."""
    kept = output != 0
    distances = (output - plain / (1 - DROPOUT))[kept].abs()
    distances = distances * (distances > 1e-6)
    error = distances.std().item() / distances.numel() ** 0.5
    return share(~kept), Estimate(distances.mean().item(), error)
