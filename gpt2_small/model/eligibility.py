"""Decide whether the fast twin computes what a model computes.

The twin reads a model's parameters and runs its own code. That computes the model's function only
if every module is the reference's, runs its class's code, and has no hook.
"""

import sys
from functools import cache, lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import _has_any_global_hook
from torch.nn.utils.parametrize import is_parametrized

from gpt2_small import binding
from gpt2_small.errors import UserError
from gpt2_small.model.building import UndrawnWeights
from gpt2_small.model_protocol import Config, Model

HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
OF_A_PARAMETRIZATION = "parametrizations"


def stands_in_for(model: Model) -> bool:
    """Whether the twin computes the same function as this model."""
    return difference(model) is None


def refuse_others(model: Model) -> None:
    """Raises UserError, with the first difference, for a model that the twin cannot compute."""
    if why_not := difference(model):
        raise UserError(f"{why_not}; the fast twin cannot compute it; run the model itself")


def difference(model: Model) -> str | None:
    """The first difference between a model and the reference, as a clause; None without any."""
    reference = sys.modules.get(type(model).__module__)
    if type(model).__name__ != "Transformer" or not _is_reference(reference):
        return f"the model is a {type(model).__qualname__}, not the reference's Transformer"
    if changed := _changed_function(reference):
        return f"{changed} of the reference has been replaced"
    if _has_any_global_hook():
        return "there is a hook on all modules"
    parts = {name: part for name, part in model.named_modules() if OF_A_PARAMETRIZATION not in name}
    expected = _structure(model.__class__, model.config)
    if names := sorted(parts.keys() ^ expected.keys()):
        return f"{names[0]!r} is not in both the model and its config"
    for name, part in parts.items():
        if why_not := _part_difference(part, *expected[name]):
            return f"{name or 'the model'!r} {why_not}"
    return None


def _part_difference(
    part: nn.Module, kind: type, shapes: dict[str, torch.Size], attributes: dict[str, Any]
) -> str | None:
    own = type(part).__bases__[0] if is_parametrized(part) else type(part)
    if own is not kind:
        return f"is a {own.__qualname__}, not a {kind.__qualname__}"
    if replaced := vars(part).keys() & _methods(kind):
        return f"has a {min(replaced)} of its own"
    if any(vars(part)[hooks] for hooks in HOOKS):
        return "has a hook"
    for name, shape in shapes.items():
        parameter = getattr(part, name, None)
        if parameter is None or parameter.shape != shape:
            return f"has no {name} of shape {list(shape)}"
    for name, value in attributes.items():
        if getattr(part, name, None) != value:
            return f"has another {name} than its config"
    return None


@lru_cache(maxsize=8)
def _structure(
    kind: type[nn.Module], config: Config
) -> dict[str, tuple[type, dict[str, torch.Size], dict[str, Any]]]:
    """Type, parameters' shapes and other attributes of every module of a model of this config."""
    with UndrawnWeights():
        model = kind(config)
    return {
        name: (
            type(part),
            {key: value.shape for key, value in part._parameters.items() if value is not None},
            # A dropout's probability may be changed.
            {} if isinstance(part, nn.Dropout) else _attributes(part),
        )
        for name, part in model.named_modules()
    }


def _attributes(part: nn.Module) -> dict[str, Any]:
    return {
        name: value
        for name, value in vars(part).items()
        if not name.startswith("_") and name not in ("training", "config")
    }


@cache
def _methods(kind: type) -> frozenset[str]:
    return frozenset(name for name in dir(kind) if callable(getattr(kind, name)))


def _is_reference(module: ModuleType | None) -> bool:
    return getattr(module, "__file__", None) is not None and binding.is_reference(module)  # type: ignore[arg-type]


def _changed_function(reference: Any) -> str | None:
    """The name of a forward method, or of the GELU, that was replaced after loading."""
    functions = {"gelu_tanh": reference.gelu_tanh} | {
        f"{name}.forward": kind.forward
        for name, kind in vars(reference).items()
        if isinstance(kind, type) and issubclass(kind, nn.Module)
    }
    for name, function in functions.items():
        if "jaxtyping" in Path(_file_of(function)).parts:  # wrapped by a shape check
            function = getattr(function, "__wrapped__", None)
        if _file_of(function) != reference.__file__:
            return str(name)
    return None


def _file_of(function: Any) -> str:
    return str(getattr(getattr(function, "__code__", None), "co_filename", ""))
