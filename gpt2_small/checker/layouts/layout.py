"""Define a layout: how the parts of a GPT-2 are built and named elsewhere."""

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
from gpt2_small.model_protocol import Config

# The parts of other parts, which a file's own classes are made of.
INSIDE = {
    "TransformerBlock": ("LayerNorm", "MultiHeadAttention", "MLP"),
    "Transformer": (
        "LayerNorm",
        "Embedding",
        "PositionalEmbedding",
        "MultiHeadAttention",
        "MLP",
        "TransformerBlock",
        "Unembedding",
    ),
}
# Claims about modules inside a part, which an adapted one does not show.
_INSIDES = (
    "no dropout besides that of the attention and the MLP",
    "in training mode the first block reads the sum after dropout",
    "dropout in training mode, with the right mean",
)
# A small configuration, with what the sizes leave to TransformerConfig.
_SMALL = {
    **probes.SIZES,
    "layer_norm_eps": 1e-5,
    "init_std": 0.02,
    "dropout": 0.0,
    "tied_embeddings": True,
}
_GROUPS = {
    "initialisation": "the initialisation, which such models draw in other ways",
    "refusals": "what is refused, which such models refuse in other ways",
}


@dataclass(frozen=True)
class AdaptedPart:
    """How a part of GPT-2 is written in a layout.

    make: the module from its class and the configuration.
    not_judged: beginnings of claims about what such a class takes from no configuration.
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
    """Names and shapes of parameters as others have them, part by part.

    remarks: what is said beside a verdict.
    telling: parts by which a file's layout is known; a norm's parameters, for instance, are named
        alike in several.
    telling_classes: where parameters are named as in the contract, a file has one of these.
    """

    name: str
    parts: Mapping[str, AdaptedPart] = field(hash=False)
    remarks: tuple[str, ...] = ()
    telling: tuple[str, ...] = ("MultiHeadAttention", "MLP", "TransformerBlock", "Transformer")
    telling_classes: tuple[str, ...] = ()

    def with_insides(self, wanted: Sequence[str]) -> list[str]:
        """These parts and the layout's parts that they are made of, in learning order."""
        needed = {inner for part in wanted for inner in (part, *INSIDE.get(part, ()))}
        return [part for part in self.parts if part in needed]

    def not_judged(self, part: str, claim: str, group: str) -> bool:
        """Whether a claim is left out."""
        names = (*self.parts[part].not_judged, *(_INSIDES if part in INSIDE else ()))
        return group in _GROUPS or claim.startswith(names)

    def all_remarks(self, parts: Sequence[str]) -> list[str]:
        """What is not judged of these parts, and what else is to be said."""
        found = [f"Not judged: {_GROUPS['initialisation']};", f"{_GROUPS['refusals']}."]
        for part in parts:
            how = self.parts[part]
            left = [claim.rstrip(":") for claim in how.not_judged]
            left += ["where it drops in training"] if part in INSIDE else []
            left += [f"{name}, which it fixes" for name in how.fixed]
            left += [f"{name}, which it lacks" for name in how.lacks]
            found += [f"Not judged of {part}: {'; '.join(left)}."] if left else []
        return [*found, *self.remarks]


def adapted_module(module: ModuleType, layout: Layout, fixed: Sequence[str] = ()) -> ModuleType:
    """A module with the parts that a file has in a layout, under the contract's names.

    fixed: fields that the file says it fixes.
    """
    view = ModuleType(module.__name__)
    view.__file__ = module.__file__
    for part, how in layout.parts.items():
        factory = _factory(module, layout, part)
        if factory is None:
            continue
        # The width of an MLP inside is fixed with it.
        fixing = {*fixed, *how.fixed, *layout.parts[WIDE_PART].fixed}
        made = adapted(
            factory, how.tensors, part, fixed=tuple(fixing), call=how.call, lacks=how.lacks
        )
        setattr(view, part, made)
    return view


def fitting_parts(module: ModuleType, layout: Layout, config: Config) -> list[str]:
    """The parts of a file that can be built and read in a layout, by which it is known."""
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
    """What makes a part from a configuration: its class, or the part that it is inside."""
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
    """A file's class for a part: one of a usual name, or else one with the layout's tensors."""
    classes = {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, nn.Module)
    }
    named = (classes[name] for name in module_names.CLASSES[part] if name in classes)
    own = (
        one
        for one in classes.values()
        if not one.__module__.startswith(("torch.", "transformers."))
    )
    return next(named, None) or next((one for one in own if _has_tensors(one, how, part)), None)


def _has_tensors(made: type[nn.Module], how: AdaptedPart, part: str) -> bool:
    config = SimpleNamespace(**_SMALL)
    try:
        inner = how.make(made, config)
    except Exception:
        return False
    tensors = how.tensors(config) if callable(how.tensors) else how.tensors
    return fits(inner, tensors, part, _SMALL)


def _place_inside(whole: Factory, path: str) -> str | None:
    """The name of the module at a path; None where there is none, or a mere container."""
    wanted = re.compile(path.replace(".", r"\."))
    try:
        model = whole(SimpleNamespace(**_SMALL))
    except Exception:
        return None
    found = ((name, one) for name, one in model.named_modules() if wanted.fullmatch(name))
    return next((n for n, one in found if type(one).forward is not nn.Module.forward), None)
