"""State the claims about dropout: on in training, off in evaluation, unbiased."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from gpt2_small.checker.claims import Claim
from gpt2_small.checker.claims.judging.tolerances import UNDROPPED
from gpt2_small.checker.claims.observing.observation import Estimate, Observation
from gpt2_small.checker.claims.observing.subject import Subject
from gpt2_small.checker.parts import PARTS

DROPOUT = 0.25
_RUNS = 64
_PLAIN = "the output in evaluation mode with dropout 0.25"
_TRAINED = "the outputs in training mode with dropout 0.25"
_ACTS = "the number of elements that dropout zeroes in training mode"
_BIAS = "the relative change of the mean output by dropout"
_ZEROS = "the share of zeros in the output in training mode with dropout 0.25"
_WHICH = "the zeros in the output in training mode"
_EQUAL = 1e-4
OWN = "drawn anew for each"
_KEPT = "the mean distance of the other elements from the output without dropout, over 0.75"


def dropout_claims(subject: Subject, unbiased: bool = True) -> tuple[Claim, ...]:
    """The two claims about a part with dropout.

    unbiased: whether the mean output equals the output without dropout; else the reference's mean.
    """
    return (
        Claim(
            subject.name,
            "no dropout in evaluation mode",
            partial(in_evaluation, subject),
            group="dropout",
        ),
        Claim(
            subject.name,
            "dropout in training mode, with the right mean",
            partial(in_training, subject),
            summary=bias,
            expect=_no_bias if unbiased else None,
            group="dropout",
        ),
    )


def _no_bias(_reference: ModuleType, _seed: int) -> Observation:
    return {_ACTS: "more than 0", _BIAS: Estimate(0.0)}


def in_evaluation(subject: Subject, module: ModuleType, seed: int) -> Observation:
    model = subject.build(module, seed, dropout=DROPOUT)
    return {_PLAIN: subject.run(model, subject.values(seed, "dropout"))}


def in_training(subject: Subject, module: ModuleType, seed: int) -> Observation:
    """The output without dropout, and outputs with it.

    The dropout inside of inner parts, which are the reference's, is off.
    """
    model = subject.build(module, seed, dropout=DROPOUT)
    given = subject.values(seed, "dropout")
    with torch.no_grad():
        with parts_dropping_nothing(model):
            plain = subject.run(model, given)
        runs = torch.stack([subject.run(model, given) for _ in range(_RUNS)])
    return {_PLAIN: plain, _TRAINED: runs}


def bias(seen: Observation) -> Observation:
    """Whether runs differ, and the distance of their mean from the output without dropout.

    The bias is the mean over runs and elements of the deviation times the output, in units of the
    mean square; its standard error follows from the spread of independent runs.
    """
    plain, runs = _double(seen[_PLAIN]), _double(seen[_TRAINED])
    spread = (runs - runs[0]).abs().max().item()
    biases = ((runs - plain) * plain).flatten(1).mean(dim=1) / plain.square().mean()
    error = biases.std().item() / len(runs) ** 0.5
    return {
        _ACTS: "more than 0" if spread > 1e-6 else "0",
        _BIAS: Estimate(biases.mean().item(), error),
    }


def _double(entry: object) -> Tensor:
    assert isinstance(entry, Tensor)
    return entry.double()


@contextmanager
def parts_dropping_nothing(model: nn.Module) -> Iterator[None]:
    """Switch dropout off inside the calls of a part's inner parts; ends in training mode.

    In this context the part is called once, in evaluation mode. An inner part that is called there
    keeps its dropout modules on outside of its calls, so that they drop what the part itself
    passes to them. One that is not called has no calls, and drops nothing.
    """
    called: set[nn.Module] = set()
    inner = [m for m in model.modules() if m is not model and _is_part(m)]
    for part in inner:
        part.forward = partial(_call_in_evaluation, part, part.forward, called)
    yield
    model.train()
    for part in inner:
        if part not in called:
            part.eval()


def _call_in_evaluation(
    part: nn.Module, forward: Callable[..., Any], called: set[nn.Module], *args: Any, **options: Any
) -> Any:
    """Call an inner part in evaluation mode, and return to the mode before."""
    called.add(part)
    before = [(module, module.training) for module in part.modules()]
    part.eval()
    try:
        return forward(*args, **options)
    finally:
        for module, training in before:
            module.training = training


def _is_part(module: nn.Module) -> bool:
    """Whether a module is one of the parts, or of a subclass of one."""
    return any(kind.__name__ in PARTS for kind in type(module).mro())


def share(events: Tensor) -> Estimate:
    """The share of events that dropout causes, with its standard error."""
    error = (DROPOUT * (1 - DROPOUT) / events.numel()) ** 0.5
    return Estimate(events.double().mean().item(), error)


def zeros_claim(subject: Subject) -> Claim:
    """The claim about zeros, for a part that ends with its only dropout."""
    return output_zeros_claim(
        subject,
        "dropout on the output, the rest divided by 1 - p",
        partial(subject.build, dropout=DROPOUT),
    )


def output_zeros_claim(
    subject: Subject, name: str, build: Callable[[ModuleType, int], nn.Module]
) -> Claim:
    """A claim about zeros in the output of a model in which only the last dropout matters."""
    return Claim(
        subject.name,
        name,
        partial(zeros, subject, build),
        summary=shares_of_zeros,
        expect=lambda _reference, _seed: {
            _ZEROS: Estimate(DROPOUT),
            _WHICH: OWN,
            _KEPT: Estimate(0.0),
        },
        group="dropout",
    )


def zeros(
    subject: Subject,
    build: Callable[[ModuleType, int], nn.Module],
    module: ModuleType,
    seed: int,
) -> Observation:
    model = build(module, seed)
    given = subject.values(seed, "zeros", batch=40)
    with torch.no_grad():
        plain = subject.run(model.eval(), given)
        return {_PLAIN: plain, _TRAINED: subject.run(model.train(), given)}


def shares_of_zeros(seen: Observation) -> Observation:
    output = _double(seen[_TRAINED])
    zeroed, distance = dropped(_double(seen[_PLAIN]), output)
    return {
        _ZEROS: zeroed,
        _WHICH: which_zeros(output),
        _KEPT: distance,
    }


def which_zeros(output: Tensor) -> str:
    """Whether every row, position and feature [batch seq d_model] has its own zeros, in words."""
    return shared((output == 0).double(), ("row", "position", "feature"))


def shared(dropped: Tensor, axes: tuple[str, ...]) -> str:
    """Along which of the first axes what is dropped is the same, in words.

    dropped: numbers that dropout changes; if all are equal, nothing is said.
    """
    moved = [(dropped - dropped.narrow(n, 0, 1)).abs().amax().item() for n in range(dropped.dim())]
    is_constant = (dropped - dropped.flatten()[0]).abs().amax().item() < _EQUAL
    same = [axis for axis, most in zip(axes, moved, strict=False) if most < _EQUAL]
    return f"the same in every {' and '.join(same)}" if same and not is_constant else OWN


def dropped(plain: Tensor, output: Tensor) -> tuple[Estimate, Estimate]:
    """The share of zeros, and the others' mean distance from the plain output / (1 - p)."""
    kept = output != 0
    distances = (output - plain / (1 - DROPOUT))[kept].abs()
    distances = distances * (distances > UNDROPPED)
    error = distances.std().item() / distances.numel() ** 0.5
    return share(~kept), Estimate(distances.mean().item(), error)
