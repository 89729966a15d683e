"""Judge an MLP of fixed width, declared by `FIXED = ("d_mlp",)`.

Its parameters are replaced by ones of the configured width. Its own width and its initialisation
are not judged.
"""

import ast
from collections.abc import Mapping
from dataclasses import asdict
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from gpt2_small.checker.claims.modules.parameter_shapes import parameters_of
from gpt2_small.errors import UserError
from gpt2_small.model_protocol import Config

MAY_BE_FIXED = ("d_mlp",)
# The part with the width.
WIDE_PART = "MLP"


def fixed_fields(source: bytes, path: str) -> tuple[str, ...]:
    """The fields in a file's FIXED. Raises UserError for unsupported ones."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == "FIXED" for target in node.targets
        ):
            try:
                found = ast.literal_eval(node.value)
            except ValueError:
                found = ast.unparse(node.value)
            fields = (found,) if isinstance(found, str) else found
            if not isinstance(fields, (tuple, list, set)) or not set(fields) <= set(MAY_BE_FIXED):
                raise UserError(
                    f"{path}, line {node.lineno}: FIXED is {found!r}; "
                    'only d_mlp can be fixed: FIXED = ("d_mlp",)'
                )
            return tuple(fields)
    return ()


def resized(value: Tensor, name: str, part: str, settings: Mapping[str, Any]) -> Tensor:
    """A random parameter of the configured width, if its width differs.

    settings: the configuration's fields.
    """
    wanted = parameters_of(part, settings).get(name)
    shape = tuple(value.shape)
    if wanted is None or shape == wanted:
        return value
    for width in shape:
        if parameters_of(part, {**settings, "d_mlp": width})[name] == shape:
            drawn: Tensor = torch.randn(wanted) * settings["init_std"]
            return drawn
    return value


def free_width(module: ModuleType) -> None:
    """Make a file's MLP of fixed width constructible with any width, in place."""
    made = getattr(module, WIDE_PART, None)
    if not isinstance(made, type) or not issubclass(made, nn.Module):
        return

    class Resized(made):  # type: ignore[misc, valid-type]
        def __init__(self, config: Config) -> None:
            super().__init__(config)
            for name, parameter in list(self.named_parameters(recurse=False)):
                value = resized(parameter.detach(), name, WIDE_PART, asdict(config))
                if value.shape != parameter.shape:
                    setattr(self, name, nn.Parameter(value))

    Resized.__name__ = Resized.__qualname__ = WIDE_PART
    Resized.__module__ = made.__module__
    setattr(module, WIDE_PART, Resized)
