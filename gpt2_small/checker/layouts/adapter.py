"""Adapt modules with other parameter names and shapes to the contract.

An einops pattern for each tensor converts theirs to the contract's. The adapted module owns the
contract's parameters; every call converts them to the module's tensors and runs the module with
those (torch.func.functional_call), so gradients reach the contract's parameters.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import torch
from einops import EinopsError, rearrange
from torch import Tensor, nn
from torch.func import functional_call

from gpt2_small.checker.claims.modules.parameter_shapes import parameters_of
from gpt2_small.checker.layouts.fixed_d_mlp import resized
from gpt2_small.model_protocol import Config

# For each tensor of the other module: the contract's parameters in it (several are stacked along a
# new first axis), and the pattern from theirs to the contract's. A name may have alternatives, such
# as `(q_proj|W_Q).weight`; one that ends in `?` is optional. A name without parameters must be
# absent, and has the reason instead of a pattern. `*` in a name stands for a number: those tensors,
# one per head for instance, are stacked along a new first axis.
Tensors: TypeAlias = Mapping[str, tuple[Sequence[str], str]]
Factory = Callable[[Any], nn.Module]
# Calls the module on an input by the given function.
Call = Callable[[nn.Module, Callable[..., Any], Tensor], Any]


def adapted(
    factory: Factory,
    tensors: Tensors | Callable[[Any], Tensors],
    part: str | None = None,
    *,
    fixed: Sequence[str] = (),
    call: Call = lambda _module, run, given: run(given),
    lacks: Sequence[str] = (),
) -> type[nn.Module]:
    """A module class with the contract's parameters that runs another class.

    factory: constructs the other module from a TransformerConfig.
    tensors: for every parameter of the other module the contract's, and the pattern, such as
        `"c_attn.weight": (["W_Q", "W_K", "W_V"], "(qkv head d_head) d_model -> qkv head d_model
        d_head")`. It is read in both directions. Or a function of the TransformerConfig that gives
        these.
    part: the part with the parameters' shapes; default: those of the module's tensors.
    fixed: fields of the TransformerConfig that the other class ignores: `d_mlp`.
    call: calls the other module; default: on the input alone.
    lacks: a bias of the contract that the other module lacks; it is added to the output.

    The class's constructor raises ValueError for a parameter without a counterpart.
    """

    how = _Adaptation(factory, tensors, part, fixed, call, lacks)

    class Adapted(_AdaptedModule):
        def __init__(self, config: Config) -> None:
            super().__init__(config, how)

    Adapted.__name__ = Adapted.__qualname__ = part or "Adapted"
    return Adapted


@dataclass(frozen=True)
class _Adaptation:
    """The arguments of `adapted`."""

    factory: Factory
    tensors: Tensors | Callable[[Any], Tensors]
    part: str | None
    fixed: Sequence[str]
    call: Call
    lacks: Sequence[str]


class _AdaptedModule(nn.Module):
    """A module with the contract's parameters that runs another one."""

    _inner: nn.Module

    def __init__(self, config: Config, how: _Adaptation) -> None:
        super().__init__()
        inner = how.factory(config)
        object.__setattr__(self, "_inner", inner)  # hides its parameters from this module
        self.config, self._call = config, how.call
        own = dict(inner.named_parameters())
        by_name = how.tensors(config) if callable(how.tensors) else how.tensors
        self._tensors = _entries(by_name, own)
        sizes = {"head": config.n_heads, "d_head": config.d_head}
        shapes = parameters_of(how.part, asdict(config)) if how.part else {}
        for entry in self._tensors:
            values = _theirs_to_ours(entry.joined(own), entry.ours, entry.pattern, sizes)
            for mine, value in zip(entry.ours, values, strict=True):
                if how.part and how.fixed:
                    value = resized(value, mine, how.part, asdict(config))
                _register(self, mine, value)
        for name, tensor in self._theirs().items():
            _note_shape(inner, name, tensor.shape)
        self._added = [name for name in how.lacks if name in shapes]
        for name in self._added:
            _register(self, name, torch.zeros(shapes[name]))

    def _theirs(self) -> dict[str, Tensor]:
        ours, found = dict(self.named_parameters()), dict[str, Tensor]()
        for entry in self._tensors:
            value = _ours_to_theirs([ours[one] for one in entry.ours], entry.pattern)
            found |= entry.divided(value)
        return found

    def forward(self, given: Tensor) -> Tensor:
        theirs = self._theirs()

        def run(*inputs: Any) -> Any:
            return functional_call(self._inner, theirs, inputs)

        output = self._call(self._inner, run, given)
        logits: Any = getattr(output, "logits", output)
        result: Tensor = logits[0] if isinstance(logits, tuple) else logits
        for name in self._added:
            result = result + self.get_parameter(name)
        return result

    def train(self, mode: bool = True) -> Any:
        self._inner.train(mode)
        return super().train(mode)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        self._inner._apply(fn, recurse)
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call]


def fits(inner: nn.Module, tensors: Tensors, part: str, settings: Mapping[str, Any]) -> bool:
    """Whether a module has a part's tensors in the configuration's shapes.

    An MLP's width may differ, because many fix it.
    """
    own = dict(inner.named_parameters())
    sizes = {"head": settings["n_heads"], "d_head": settings["d_head"]}
    shapes = parameters_of(part, settings)
    try:
        values = {
            mine: resized(value, mine, part, settings)
            for entry in _entries(tensors, own)
            for mine, value in zip(
                entry.ours,
                _theirs_to_ours(entry.joined(own), entry.ours, entry.pattern, sizes),
                strict=True,
            )
        }
    except (ValueError, KeyError, EinopsError):
        return False
    return all(tuple(value.shape) == shapes.get(name) for name, value in values.items())


def _register(module: nn.Module, name: str, value: Tensor) -> None:
    """Register a parameter under a dotted name, unless it exists."""
    *path, last = name.split(".")
    for piece in path:
        if piece not in dict(module.named_children()):
            module.add_module(piece, nn.Module())
        module = getattr(module, piece)
    if last not in dict(module.named_parameters(recurse=False)):
        module.register_parameter(last, nn.Parameter(value.detach().clone()))


def _note_shape(inner: nn.Module, name: str, shape: Sequence[int]) -> None:
    """Update a module's stored tensor size, such as `nf` of a Conv1D."""
    path, _, last = name.rpartition(".")
    owner = inner.get_submodule(path)
    for old, new in zip(getattr(owner, last).shape, shape, strict=True):
        kept = [key for key, value in vars(owner).items() if type(value) is int and value == old]
        for key in kept if new != old else ():
            setattr(owner, key, new)


@dataclass(frozen=True)
class _Entry:
    """Tensors of theirs, the contract's parameters in them, and the pattern.

    is_stacked: whether theirs are several, stacked in front.
    """

    theirs: tuple[str, ...]
    ours: Sequence[str]
    pattern: str
    is_stacked: bool

    def joined(self, own: Mapping[str, Tensor]) -> Tensor:
        """Stack their tensors."""
        tensors = [own[name] for name in self.theirs]
        return torch.stack(tensors) if self.is_stacked else tensors[0]

    def divided(self, tensor: Tensor) -> dict[str, Tensor]:
        """Split a tensor into theirs, by name."""
        tensors = tensor.unbind() if self.is_stacked else [tensor]
        return dict(zip(self.theirs, tensors, strict=True))


def _entries(tensors: Tensors, own: Mapping[str, nn.Parameter]) -> list[_Entry]:
    """The patterns by the module's names. Raises ValueError for tensors without a pattern."""
    found = []
    for names, (ours, pattern) in tensors.items():
        wanted = re.compile(names.removesuffix("?").replace(".", r"\.").replace("*", r"\d+"))
        theirs = tuple(one for one in own if wanted.fullmatch(one))
        if theirs and not ours:
            raise ValueError(f"{theirs[0]} {pattern}")
        if theirs:
            is_stacked = "*" in names
            found.append(_Entry(theirs if is_stacked else theirs[:1], ours, pattern, is_stacked))
        elif not names.endswith("?"):
            raise ValueError(
                f"there is no parameter {_first_name(names)}, under this or another usual name; "
                f"it has {', '.join(own)}"
            )
    if extra := sorted(own.keys() - {name for entry in found for name in entry.theirs}):
        raise ValueError(f"{', '.join(extra)} is in the module and not in the layout")
    return found


def _first_name(names: str) -> str:
    """The first alternative of a name."""
    while (shorter := re.sub(r"\(([^()]*)\)(\??)", _first_alternative, names)) != names:
        names = shorter
    return names.split("|")[0]


def _first_alternative(group: re.Match[str]) -> str:
    return "" if group[2] else group[1].split("|")[0]


def _theirs_to_ours(
    tensor: Tensor, ours: Sequence[str], pattern: str, sizes: Mapping[str, int]
) -> list[Tensor]:
    left = pattern.split("->")[0].replace("(", " ").replace(")", " ").split()
    known = {name: size for name, size in sizes.items() if name in left}
    value = rearrange(tensor, pattern, **known)
    return list(value) if len(ours) > 1 else [value]


def _ours_to_theirs(ours: Sequence[Tensor], pattern: str) -> Tensor:
    left, right = pattern.split("->")
    value = torch.stack(list(ours)) if len(ours) > 1 else ours[0]
    return rearrange(value, f"{right} -> {left}")
