"""State the claims shared by all modules, from construction to gradients."""

import re
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode

from gpt2_small.checker.claims import Claim, Observe
from gpt2_small.checker.claims.judging.failure import Failure
from gpt2_small.checker.claims.judging.stored import stored, stored_answer
from gpt2_small.checker.claims.judging.torch_oracle import gradients_by_torch, output_by_torch
from gpt2_small.checker.claims.observing import probes
from gpt2_small.checker.claims.observing.observation import Entry, Observation
from gpt2_small.checker.claims.observing.parameters import (
    extras,
    fresh_parameters,
    initial_statistics,
    parameters,
    statistics,
)
from gpt2_small.checker.claims.observing.subject import Subject

_MIXED_DEVICES = re.compile("not on the expected device|on the same device|at least two devices")


# Operations that take an index or a mask on their device only, which torch does not check on meta.
_INDEXING = (F.embedding, torch.index_select, torch.gather, torch.take_along_dim,
             torch.Tensor.index_select, torch.Tensor.gather, torch.Tensor.masked_fill_)  # fmt: skip


class _SameDevice(TorchFunctionMode):
    """Raises RuntimeError where a table and its index are on different devices."""

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        given = (*args, *(kwargs or {}).values())
        devices = {one.device.type for one in given if isinstance(one, torch.Tensor)}
        if function in _INDEXING and len(devices) > 1:
            raise RuntimeError("table and index are not on the same device")
        return function(*args, **(kwargs or {}))


def module_claims(subject: Subject) -> tuple[Claim, ...]:
    """The shared claims, the gate first."""

    def claim(name: str, observe: Callable[..., Observation], **options: Any) -> Claim:
        return Claim(subject.name, name, partial(observe, subject), **options)

    return (
        claim("it is built from a TransformerConfig and returns one tensor", called, gate=True),
        claim("parameter names and shapes", parameters, group="state"),
        claim("no other parameters or buffers in the state dict", extras, group="state"),
        *output_claims(subject),
        claim(
            "same output as TransformerLens",
            stored,
            expect=lambda _reference, _seed: stored_answer(subject.name),
        ),
        claim("correct output for 1 and n_ctx positions and other batch sizes", lengths),
        claim("rows of the batch are independent", rows),
        claim("same output for a non-contiguous input", strided, group="inputs"),
        claim("the input is not modified in place", untouched, group="inputs"),
        *gradient_claims(subject),
        claim("correct activations at the taps", taps, group="taps"),
        claim(
            "same output in training and evaluation mode at dropout 0",
            training_mode,
            group="dropout",
            is_drawn=True,
        ),
        claim("it computes on the device of its input", device, group="device"),
        claim(
            "parameters are initialised as in GPT-2",
            fresh_parameters,
            summary=partial(statistics, subject),
            expect=lambda _reference, _seed: initial_statistics(subject),
            group="initialisation",
        ),
    )


def output_claims(subject: Subject, when: str = "") -> tuple[Claim, ...]:
    """Claims about the output: float32 is required, two other dtypes are not."""

    def claim(name: str, dtype: torch.dtype, **options: Any) -> Claim:
        observe: Observe = partial(outputs, subject, dtype=dtype)
        return Claim(subject.name, name.format(when=when), observe, **options)

    torchs = (partial(output_by_torch, subject),)
    return (
        claim("correct output in float32{when}", torch.float32, also=torchs),
        claim("correct output in float64{when}", torch.float64, required=False),
        claim("correct output in bfloat16{when}", torch.bfloat16, required=False, group="dtypes"),
    )


def gradient_claims(subject: Subject, when: str = "") -> tuple[Claim, ...]:
    """Claims about gradients: float32 is required, float64 is not."""

    def claim(name: str, dtype: torch.dtype, **options: Any) -> Claim:
        observe: Observe = partial(gradients, subject, dtype=dtype)
        return Claim(subject.name, name.format(when=when), observe, group="gradient", **options)

    torchs = (partial(gradients_by_torch, subject),)
    right = "correct gradients of all parameters and the input"
    return (
        claim(right + "{when}", torch.float32, also=torchs),
        claim(right + " in float64{when}", torch.float64, required=False),
    )


def called(subject: Subject, module: ModuleType, seed: int) -> Observation:
    """Whether it can be constructed and called."""
    model = subject.build(module, seed)
    subject.run(model, subject.feed(seed))
    return {"built": "yes"}


def outputs(subject: Subject, module: ModuleType, seed: int, *, dtype: torch.dtype) -> Observation:
    """The outputs in a dtype, at every scale of the input."""
    model = subject.build(module, seed).to(dtype)
    return {name: subject.run(model, given) for name, given in subject.inputs(seed, dtype).items()}


def lengths(subject: Subject, module: ModuleType, seed: int) -> Observation:
    model, n_ctx = subject.build(module, seed), probes.SIZES["n_ctx"]
    sizes = [(2, 1), (2, 2), (2, n_ctx), (1, 5), (5, 7), (1, 1)]
    return {
        f"the output for batch {batch} and seq {seq}": subject.run(
            model, subject.feed(seed, f"{batch} x {seq}", batch=batch, seq=seq)
        )
        for batch, seq in sizes
    }


def rows(subject: Subject, module: ModuleType, seed: int) -> Observation:
    """A row's output in two different batches."""
    model = subject.build(module, seed)
    given = subject.feed(seed, "row", batch=3)
    other = torch.cat([given[:1], given[1:].roll(1, dims=0).flip(1)])
    first, second = subject.run(model, given), subject.run(model, other)
    return {"the row": first[:1].clone(), "the row in another batch": second[:1].clone()}


def strided(subject: Subject, module: ModuleType, seed: int) -> Observation:
    model, given = subject.build(module, seed), subject.feed(seed, "strided")
    turned = given.transpose(0, 1).contiguous().transpose(0, 1)
    wide = torch.stack([given, given], dim=-1)[..., 0]
    return {
        "the output for an input stored seq first": subject.run(model, turned),
        "the output for every other element of a larger tensor": subject.run(model, wide),
    }


def untouched(subject: Subject, module: ModuleType, seed: int) -> Observation:
    model, given = subject.build(module, seed), subject.feed(seed, "untouched")
    with torch.no_grad():
        subject.run(model, given)
    return {"the input after the call": given}


def gradients(
    subject: Subject, module: ModuleType, seed: int, *, dtype: torch.dtype
) -> Observation:
    """The gradients of a randomly weighted sum of the outputs, in evaluation mode.

    A gradient that is None in training mode is None here too.
    """
    model = subject.build(module, seed).to(dtype)
    seen = _gradients(subject, model, seed, dtype)
    model.zero_grad(set_to_none=True)
    try:
        trained = _gradients(subject, model.train(), seed, dtype)
    except Failure:
        raise
    except Exception:
        return seen  # errors in training mode fail the checks of dropout
    return {name: trained[name] if _is_none(trained[name]) else seen[name] for name in seen}


def _is_none(gradient: Entry) -> bool:
    return isinstance(gradient, str)


def _gradients(
    subject: Subject, model: nn.Module, seed: int, dtype: torch.dtype
) -> dict[str, Entry]:
    given = subject.gradient_input(seed, dtype)
    given.requires_grad_(given.is_floating_point())
    output = subject.run(model, given)
    if not output.requires_grad:
        raise Failure(
            "the output depends on no parameter as far as gradients go, so nothing can be learned; "
            "is something detached, or used through .data?",
            {"gradients": "none"},
        )
    (output * probes.weighting(seed, output, subject.output_weight)).sum().backward()
    leaves = probes.own_parameters(model, subject.contract())
    seen: dict[str, Entry] = {
        f"the gradient of {name}": probes.NO_GRADIENT if leaf.grad is None else leaf.grad
        for name, leaf in leaves.items()
    }
    if given.requires_grad:
        mine = probes.NO_GRADIENT if given.grad is None else given.grad
        seen["the gradient of the input"] = mine
    return seen


def taps(subject: Subject, module: ModuleType, seed: int) -> Observation:
    """The activations of the taps."""
    model = subject.build(module, seed)
    with torch.no_grad(), probes.listening(model) as heard:
        subject.run(model, subject.values(seed, "taps"))
    return probes.tap_entries(heard)


def training_mode(subject: Subject, module: ModuleType, seed: int) -> Observation:
    model, given = subject.build(module, seed).train(), subject.feed(seed, "training")
    return {"the output in training mode": subject.run(model, given)}


def device(subject: Subject, module: ModuleType, seed: int) -> Observation:
    """Whether every tensor is on the input's device; works on a machine with one device."""
    if not makes_all_beside_its_input(subject, module, seed):
        raise Failure(
            "a tensor is made on the CPU whatever the input's device is; "
            "make it with device=... of the input, or register it as a buffer",
            {"device": "cpu"},
        )
    return {"device": "that of the input"}


def makes_all_beside_its_input(subject: Subject, module: ModuleType, seed: int) -> bool:
    """Run on the CPU with torch's meta device as default; the output must not be on meta.

    If it is (a number made a tensor may be on any device), or if the part keeps a tensor that `to`
    leaves behind, it is run on meta, where torch checks devices; the first use of meta imports for
    two seconds.
    """
    model, given = subject.build(module, seed), subject.feed(seed)
    moves_as_a_whole = not _has_plain_tensors(model)
    try:
        with torch.device("meta"), _SameDevice():
            if subject.run(model, given).device.type == "cpu" and moves_as_a_whole:
                return True
    except Exception:
        pass
    try:
        with _SameDevice():
            return subject.run(model.to("meta"), given.to("meta")).device.type == "meta"
    except Exception as error:
        return not _MIXED_DEVICES.search(str(error))


def _has_plain_tensors(model: nn.Module) -> bool:
    """Whether a module keeps a tensor that is no parameter or buffer, which `to` does not move."""
    return any(
        isinstance(kept, torch.Tensor) and kept.dim() > 0
        for module in model.modules()
        for kept in vars(module).values()
    )
