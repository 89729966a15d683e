"""The checks that every module shares, from its construction to its gradients."""

import re
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

import torch

from gpt2_small.checker.claims import Check, probes
from gpt2_small.checker.claims.failure import Failure
from gpt2_small.checker.claims.observation import Observation
from gpt2_small.checker.claims.parameters import (
    extras,
    fresh_parameters,
    initial_statistics,
    parameters,
)
from gpt2_small.checker.claims.subject import Subject
from gpt2_small.checker.oracle import ComponentCase, component_cases, stored_reference

_MIXED_DEVICES = re.compile("not on the expected device|on the same device|at least two devices")


def module_checks(subject: Subject) -> tuple[Check, ...]:
    """The shared checks, the gate first."""

    def check(name: str, observe: Callable[..., Observation], **options: Any) -> Check:
        return Check(subject.name, name, partial(observe, subject), **options)

    def in_dtype(dtype: torch.dtype) -> Callable[..., Observation]:
        return partial(outputs, dtype=dtype)

    return (
        check(
            "It is built from a TransformerConfig, called, and gives one tensor", called, gate=True
        ),
        check(
            "Its parameters have the names and shapes of the contract", parameters, group="state"
        ),
        check("Nothing else is trainable or saved", extras, group="state"),
        check("Its output is right in float32", in_dtype(torch.float32)),
        check("Its output is right in float64", in_dtype(torch.float64)),
        check(
            "It gives what TransformerLens gives",
            stored,
            expect=lambda _reference, _seed: stored_answer(subject.name),
        ),
        check("It works for one position, for n_ctx of them, and for other batches", lengths),
        check("A row of the batch does not depend on the other rows", rows),
        check("An input that is not contiguous gives the same", strided),
        check("Its input is left unchanged", untouched, group="inputs"),
        check(
            "Every parameter, and the input, gets the right gradient", gradients, group="gradient"
        ),
        check("The activations at its taps are right", taps, group="taps"),
        check("Without dropout, training mode gives what evaluation mode gives", training_mode),
        check("Its output is right in bfloat16", in_dtype(torch.bfloat16), group="dtypes"),
        check("It computes on the device of its input", device, group="device"),
        check(
            "Fresh parameters are drawn as GPT-2 draws them",
            fresh_parameters,
            expect=lambda _reference, _seed: initial_statistics(subject),
            group="initialisation",
        ),
    )


def called(subject: Subject, module: ModuleType, seed: int) -> Observation:
    """That it can be used at all."""
    model = subject.build(module, seed)
    subject.run(model, subject.feed(seed))
    return {"built": "yes"}


def outputs(subject: Subject, module: ModuleType, seed: int, *, dtype: torch.dtype) -> Observation:
    """The output in a dtype, at every scale of the input."""
    model = subject.build(module, seed).to(dtype)
    if not subject.scales:
        return {"the output": subject.run(model, subject.feed(seed))}
    scales = subject.scales if dtype != torch.bfloat16 else (1.0,)
    return {
        f"the output for inputs of size {scale:g}": subject.run(
            model, subject.values(seed, f"size {scale}", dtype, scale=scale)
        )
        for scale in scales
    }


def stored(subject: Subject, module: ModuleType, _seed: int) -> Observation:
    """The outputs for the inputs of stored cases, with the stored weights."""
    seen = {}
    for name, settings, case in stored_cases(subject.name):
        model = getattr(module, subject.name)(module.TransformerConfig(**settings)).double()
        probes.load_values(model, case.parameters)
        seen[name] = subject.run(model.eval(), case.input.clone())
    return seen


def stored_answer(part: str) -> Observation:
    """What TransformerLens gave."""
    return {name: case.output for name, _, case in stored_cases(part)}


def stored_cases(part: str) -> list[tuple[str, dict[str, Any], ComponentCase]]:
    """The last place of a part in each stored model, with the model's configuration."""
    found = []
    for name in ("tied", "untied"):
        reference = stored_reference(name)
        cases = [case for case in component_cases(reference) if case.component == part]
        if cases:
            where = cases[-1].where or "the whole"
            label = f"the output with the weights of {where} of the stored {name} GPT-2"
            found.append((label, reference.config, cases[-1]))
    return found


def lengths(subject: Subject, module: ModuleType, seed: int) -> Observation:
    model, n_ctx = subject.build(module, seed), probes.SIZES["n_ctx"]
    sizes = [(2, 1), (2, 2), (2, n_ctx), (1, 5), (5, 7)]
    return {
        f"the output for batch {batch} and seq {seq}": subject.run(
            model, subject.feed(seed, f"{batch} x {seq}", batch=batch, seq=seq)
        )
        for batch, seq in sizes
    }


def rows(subject: Subject, module: ModuleType, seed: int) -> Observation:
    """The output of a row among two different neighbours."""
    model = subject.build(module, seed)
    given = subject.feed(seed, "row", batch=3)
    other = torch.cat([given[:1], given[1:].roll(1, dims=0).flip(1)])
    first, second = subject.run(model, given), subject.run(model, other)
    return {"the row": first[:1].clone(), "the row among other neighbours": second[:1].clone()}


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


def gradients(subject: Subject, module: ModuleType, seed: int) -> Observation:
    """Gradients in float64 of a random weighting of the outputs."""
    model = subject.build(module, seed).double()
    given = subject.values(seed, "gradients", torch.float64)
    given.requires_grad_(given.is_floating_point())
    output = subject.run(model, given)
    if not output.requires_grad:
        raise Failure(
            "the output depends on no parameter as far as gradients go, so nothing can be learned; "
            "is something detached, or used through .data?",
            {"gradients": "none"},
        )
    generator = probes.draws(seed, "weighting")
    weighting = torch.randn(output.shape, generator=generator, dtype=torch.float64)
    (output * weighting).sum().backward()
    leaves = dict(model.named_parameters())
    if given.requires_grad:
        leaves["the input"] = given  # type: ignore[assignment]
    return {
        f"the gradient of {name}": "no gradient at all" if leaf.grad is None else leaf.grad
        for name, leaf in leaves.items()
    }


def taps(subject: Subject, module: ModuleType, seed: int) -> Observation:
    """The output and the activations of the taps that there are, in float64."""
    model = subject.build(module, seed).double()
    with torch.no_grad(), probes.listening(model) as heard:
        subject.run(model, subject.values(seed, "taps", torch.float64))
    return probes.tap_entries(heard)


def training_mode(subject: Subject, module: ModuleType, seed: int) -> Observation:
    model, given = subject.build(module, seed).train(), subject.feed(seed, "training")
    return {"the output in training mode": subject.run(model, given)}


def device(subject: Subject, module: ModuleType, seed: int) -> Observation:
    """Whether all is made where the input is, which a machine with one device can tell too."""
    if not makes_all_beside_its_input(subject, module, seed):
        raise Failure(
            "a tensor is made on the CPU whatever the input's device is; "
            "make it with device=... of the input, or register it as a buffer",
            {"device": "cpu"},
        )
    return {"device": "that of the input"}


def makes_all_beside_its_input(subject: Subject, module: ModuleType, seed: int) -> bool:
    """Computing on the CPU while torch's meta device is the default, nothing of meta turns up.

    What does is suspicious only (a number made a tensor may be anywhere), so the part is then moved
    to meta, where torch checks devices; its first use takes two seconds of importing.
    """
    model, given = subject.build(module, seed), subject.feed(seed)
    try:
        with torch.device("meta"):
            if subject.run(model, given).device.type == "cpu":
                return True
    except Exception:
        pass
    try:
        return subject.run(model.to("meta"), given.to("meta")).device.type == "meta"
    except Exception as error:
        return not _MIXED_DEVICES.search(str(error))
