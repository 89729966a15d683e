"""Check the shapes in a solution's signatures at every call."""

import functools
import typing
from types import FunctionType, ModuleType
from typing import Any

from beartype import BeartypeConf, beartype
from beartype.roar import BeartypeDecorHintException
from jaxtyping import AbstractArray, jaxtyped
from torch import nn

from gpt2_small import binding

_DONE = "SHAPES_ARE_CHECKED"
_TYPECHECKER = beartype(conf=BeartypeConf(is_pep484_tower=True))  # an int is accepted as a float


def check_shapes(module: ModuleType) -> None:
    """Make a loaded solution check the shapes in its signatures, in place.

    Only signatures equal to the reference's are checked; a learner may annotate in another way.
    Classes stay the same objects; their methods, and the module's functions, raise jaxtyping's
    TypeCheckError for a call that does not fit. Axes of one name must agree within a call.
    """
    if getattr(module, _DONE, False):
        return
    for owner in [module, *module_classes(module)]:
        for name, function in functions_with_shapes(owner, module).items():
            if _shapes(function, module) == _reference_shapes().get(function.__qualname__):
                setattr(owner, name, _checked(function))
    setattr(module, _DONE, True)


@functools.cache
def _reference_shapes() -> dict[str, dict[str, str]]:
    """Return the shapes in the reference's signatures, by qualified name."""
    module = binding.load(binding.reference_path())
    owners = [module, *module_classes(module)]
    found = [f for owner in owners for f in functions_with_shapes(owner, module).values()]
    return {function.__qualname__: _shapes(function, module) for function in found}


def _shapes(function: FunctionType, module: ModuleType) -> dict[str, str]:
    """Return the annotations of a function that mention a shape."""
    hints = _hints(function, module)
    return {name: str(hint) for name, hint in hints.items() if _mentions_a_shape(hint)}


def module_classes(module: ModuleType) -> list[type[nn.Module]]:
    """Return the torch modules that a solution defines itself."""
    return [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, nn.Module)
        and value.__module__ == module.__name__
    ]


def functions_with_shapes(owner: Any, module: ModuleType) -> dict[str, FunctionType]:
    """Return the functions of a solution or class that annotate a shape."""
    return {
        name: value
        for name, value in vars(owner).items()
        if isinstance(value, FunctionType)
        and value.__module__ == module.__name__
        and any(_mentions_a_shape(hint) for hint in _hints(value, module).values())
    }


def _hints(function: FunctionType, module: ModuleType) -> dict[str, Any]:
    """Return annotations with strings evaluated; none if one cannot be evaluated."""
    try:
        return typing.get_type_hints(function, vars(module))
    except Exception:
        return {}


def _mentions_a_shape(hint: Any) -> bool:
    if isinstance(hint, type) and issubclass(hint, AbstractArray):
        return True
    return any(_mentions_a_shape(part) for part in typing.get_args(hint))


def _checked(function: FunctionType) -> Any:
    try:
        return jaxtyped(function, typechecker=_TYPECHECKER)
    except BeartypeDecorHintException:
        return function
