"""Define a layout: the constructors and parameter names of another implementation."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

from torch import nn

from gpt2_small.checker.claims.observing import probes
from gpt2_small.checker.layouts import module_names
from gpt2_small.checker.layouts.adapter import Call, Factory, Tensors, adapted, fits
from gpt2_small.checker.layouts.construction import construct
from gpt2_small.checker.layouts.fixed_d_mlp import WIDE_PART
from gpt2_small.checker.parts import MODULES
from gpt2_small.model_protocol import Config

# The inner parts of outer parts.
INSIDE = {
    "TransformerBlock": ("LayerNorm", "MultiHeadAttention", "MLP"),
    "Transformer": MODULES[:-1],
}
# Claims about inner modules, which an adapted part hides.
_INSIDES = (
    "no dropout besides that of the attention and the MLP",
    "in training mode the first block reads the sum after dropout",
    "dropout in training mode, with the right mean",
)
# A small configuration.
_SMALL = {
    **probes.SIZES,
    "layer_norm_eps": 1e-5,
    "init_std": 0.02,
    "dropout": 0.0,
    "tied_embeddings": True,
}
_GROUPS = {
    "initialisation": "the initialisation, which such models draw in other ways",
    "refusals": "the refusal of bad inputs, which differs in such models",
}


@dataclass(frozen=True)
class AdaptedPart:
    """A part of GPT-2 in a layout.

    make: constructs the module from its class and the configuration.
    not_judged: beginnings of claims that do not apply to such a class.
    fixed, call, lacks: as for `adapted`.
    """

    tensors: Tensors | Callable[[Any], Tensors]
    make: Callable[[type[nn.Module], Any], nn.Module] = construct
    not_judged: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()
    call: Call = lambda _module, run, given: run(given)
    lacks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layout:
    """The parts of another implementation.

    remarks: printed with a verdict.
    telling: parts that identify the layout; a norm's parameter names, for instance, occur in
        several layouts.
    telling_classes: classes that identify the layout if its parameters have the contract's names.
    """

    name: str
    parts: Mapping[str, AdaptedPart] = field(hash=False)
    remarks: tuple[str, ...] = ()
    telling: tuple[str, ...] = ("MultiHeadAttention", "MLP", "TransformerBlock", "Transformer")
    telling_classes: tuple[str, ...] = ()

    def with_insides(self, wanted: Sequence[str]) -> list[str]:
        """These parts with their inner parts, in learning order."""
        needed = {inner for part in wanted for inner in (part, *INSIDE.get(part, ()))}
        return [part for part in self.parts if part in needed]

    def not_judged(self, part: str, claim: str, group: str) -> bool:
        """Whether a claim is omitted."""
        names = (*self.parts[part].not_judged, *(_INSIDES if part in INSIDE else ()))
        return group in _GROUPS or claim.startswith(names)

    def all_remarks(self, parts: Sequence[str]) -> list[str]:
        """The layout's remarks, and those on claims omitted for these parts."""
        found = [f"Not judged: {_GROUPS['initialisation']};", f"{_GROUPS['refusals']}."]
        for part in parts:
            how = self.parts[part]
            left = [claim.rstrip(":") for claim in how.not_judged]
            left += ["the place of dropout in training"] if part in INSIDE else []
            left += [f"{name}, which it fixes" for name in how.fixed]
            left += [f"{name}, which it lacks" for name in how.lacks]
            found += [f"Not judged of {part}: {'; '.join(left)}."] if left else []
        return [*found, *self.remarks]


def adapted_module(module: ModuleType, layout: Layout, fixed: Sequence[str] = ()) -> ModuleType:
    """A module with a file's parts, adapted to the contract.

    fixed: fields in the file's FIXED.
    """
    view = ModuleType(module.__name__)
    view.__file__ = module.__file__
    for part, how in layout.parts.items():
        factory = _factory(module, layout, part)
        if factory is None:
            continue
        # The inner MLP's width is fixed too.
        fixing = {*fixed, *how.fixed, *layout.parts[WIDE_PART].fixed}
        made = adapted(
            factory, how.tensors, part, fixed=tuple(fixing), call=how.call, lacks=how.lacks
        )
        setattr(view, part, made)
    return view


def fitting_parts(module: ModuleType, layout: Layout, config: Config) -> list[str]:
    """The identifying parts of a file that a layout fits."""
    if layout.telling_classes and not set(layout.telling_classes) & set(vars(module)):
        return []
    view, found = adapted_module(module, layout), []
    for part in layout.parts:
        try:
            getattr(view, part)(config)
        except Exception:
            continue
        found.append(part)
    return found if set(found) & set(layout.telling) else []


def _factory(module: ModuleType, layout: Layout, part: str) -> Factory | None:
    """The constructor of a part from a configuration: its class, or the outer part around it."""
    how = layout.parts[part]
    made = _class_of(module, how, part)
    if made is not None:
        return lambda config: how.make(made, config)
    if part not in module_names.PLACES:
        return None
    outer, path = module_names.PLACES[part]
    whole = _factory(module, layout, outer)
    place = None if whole is None else _place_inside(whole, path)
    if whole is None or place is None:
        return None
    return lambda config: whole(config).get_submodule(place)


def _class_of(module: ModuleType, how: AdaptedPart, part: str) -> type[nn.Module] | None:
    """A file's class for a part, by a usual name or by the layout's tensors."""
    classes = {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, nn.Module)
    }
    plain = {_plain(name): value for name, value in classes.items()}
    named = (plain[_plain(name)] for name in module_names.CLASSES[part] if _plain(name) in plain)
    own = (
        one
        for one in classes.values()
        if not one.__module__.startswith(("torch.", "transformers."))
    )
    return next(named, None) or next((one for one in own if _has_tensors(one, how, part)), None)


def _plain(name: str) -> str:
    """A class's name in lower case, without underscores."""
    return name.replace("_", "").lower()


def _has_tensors(made: type[nn.Module], how: AdaptedPart, part: str) -> bool:
    config = SimpleNamespace(**_SMALL)
    try:
        inner = how.make(made, config)
    except Exception:
        return False
    tensors = how.tensors(config) if callable(how.tensors) else how.tensors
    return fits(inner, tensors, part, _SMALL)


def _place_inside(whole: Factory, path: str) -> str | None:
    """The name of the module at a path; None without one, and for a container."""
    wanted = re.compile(path.replace(".", r"\."))
    try:
        model = whole(SimpleNamespace(**_SMALL))
    except Exception:
        return None
    found = ((name, one) for name, one in model.named_modules() if wanted.fullmatch(name))
    return next((n for n, one in found if type(one).forward is not nn.Module.forward), None)
