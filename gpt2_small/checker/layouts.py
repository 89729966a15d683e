"""Adapt modules whose parameters have other names and shapes, so that the same claims judge them.

One einops pattern for each tensor says how theirs becomes the contract's. The adapted module owns
the contract's parameters; every call makes the module's own tensors of them and runs the module
with those (torch.func.functional_call), so that gradients reach the contract's names.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.func import functional_call

from gpt2_small.checker.claims.contract import parameters_of
from gpt2_small.errors import UserError, did_you_mean
from gpt2_small.model_protocol import Config

# A tensor of theirs (names that it may have, with | between): the parameters of the contract that
# it holds, stacked in front when they are several, and the pattern from theirs to the contract's.
Tensors = Mapping[str, tuple[Sequence[str], str]]
Factory = Callable[[Any], nn.Module]


def adapted(factory: Factory, tensors: Tensors, part: str | None = None) -> type[nn.Module]:
    """A module class with the contract's parameters that computes what another class computes.

    factory: makes the other module from a TransformerConfig.
    tensors: for every parameter of the other module the contract's, and the pattern, such as
        `"c_attn.weight": (["W_Q", "W_K", "W_V"], "(qkv head d_head) d_model -> qkv head d_model
        d_head")`. It is read in both directions.
    part: whose shapes the parameters have; left out, those of the module's own tensors.

    The class's constructor raises ValueError for a parameter that is in one of the two alone.
    """

    class Adapted(nn.Module):
        _inner: nn.Module

        def __init__(self, config: Config) -> None:
            super().__init__()
            inner = factory(config)
            object.__setattr__(self, "_inner", inner)  # its parameters are not this module's
            self.config = config
            own = dict(inner.named_parameters())
            self._tensors = _by_own_name(tensors, own)
            sizes = {"head": config.n_heads, "d_head": config.d_head}
            shapes = parameters_of(part, asdict(config)) if part else {}
            for name, (ours, pattern) in self._tensors.items():
                values = _theirs_to_ours(own[name], ours, pattern, sizes)
                for mine, value in zip(ours, values, strict=True):
                    wanted = shapes.get(mine, tuple(value.shape))
                    if tuple(value.shape) != wanted:  # of a width that the module fixes
                        value = torch.randn(wanted) * config.init_std
                    self.register_parameter(mine, nn.Parameter(value.detach().clone()))

        def forward(self, given: Tensor) -> Tensor:
            theirs = {
                name: _ours_to_theirs([getattr(self, one) for one in ours], pattern)
                for name, (ours, pattern) in self._tensors.items()
            }
            output: Tensor | tuple[Tensor, ...] = functional_call(self._inner, theirs, (given,))
            return output[0] if isinstance(output, tuple) else output

        def train(self, mode: bool = True) -> Any:
            self._inner.train(mode)
            return super().train(mode)

        def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
            self._inner._apply(fn, recurse)
            return super()._apply(fn, recurse)  # type: ignore[no-untyped-call]

    Adapted.__name__ = Adapted.__qualname__ = part or "Adapted"
    return Adapted


def _by_own_name(
    tensors: Tensors, own: Mapping[str, nn.Parameter]
) -> dict[str, tuple[Sequence[str], str]]:
    """The patterns by the names that the module has. Raises ValueError for what is left over."""
    found = {}
    for names, how in tensors.items():
        name = next((one for one in names.split("|") if one in own), None)
        if name is None:
            raise ValueError(
                f"there is no parameter {names.replace('|', ' or ')}; it has {', '.join(own)}"
            )
        found[name] = how
    if extra := sorted(own.keys() - found.keys()):
        raise ValueError(f"{', '.join(extra)} is in the module and not in the layout")
    return found


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


@dataclass(frozen=True)
class AdaptedPart:
    """How a part of GPT-2 is written in a layout.

    classes: names that its class may have. make: the module from that class and the configuration.
    not_judged: names of claims about what such a class takes from no configuration.
    """

    classes: tuple[str, ...]
    make: Callable[[type[nn.Module], Any], nn.Module]
    tensors: Tensors
    not_judged: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layout:
    """Names and shapes of parameters as others have them, part by part."""

    name: str
    parts: Mapping[str, AdaptedPart] = field(hash=False)

    def remarks(self) -> list[str]:
        """What is not judged, for the screen."""
        found = [f"The layout {self.name} has {', '.join(self.parts)}; other parts are not judged,"]
        found.append("nor is the initialisation, which such models draw in other ways.")
        for part, how in self.parts.items():
            found += [f"Not judged of {part}: {claim}." for claim in how.not_judged]
        return found

    def not_judged(self, part: str, claim: str, group: str) -> bool:
        """Whether a claim is left out: such models draw their parameters in other ways."""
        return group == "initialisation" or claim in self.parts[part].not_judged


_EPSILON = "Epsilon is the configuration's layer_norm_eps"
# transformers' Conv1D takes a view of its input.
_STRIDED = "An input that is not contiguous gives the same"
_SAME = "d_model -> d_model"
_HEADS = "(head d_head) -> head d_head"
_QKV_BIAS = "(qkv head d_head) -> qkv head d_head"
_IN = "(head d_head) d_model -> head d_model d_head"
_OUT = "d_model (head d_head) -> head d_head d_model"
_TURNED = "d_out d_in -> d_in d_out"


def _norm(weight: str, bias: str) -> Tensors:
    return {weight: (["w"], _SAME), bias: (["b"], _SAME)}


def _projections(query: str, key: str, value: str, out: str) -> Tensors:
    found: dict[str, tuple[Sequence[str], str]] = {}
    for letter, names in (("Q", query), ("K", key), ("V", value), ("O", out)):
        weight, bias = (
            "|".join(f"{name}.{kind}" for name in names.split("|")) for kind in ("weight", "bias")
        )
        found[weight] = ([f"W_{letter}"], _OUT if letter == "O" else _IN)
        found[bias] = ([f"b_{letter}"], _SAME if letter == "O" else _HEADS)
    return found


def _mlp(first: str, second: str, pattern: str = _TURNED) -> Tensors:
    found: dict[str, tuple[Sequence[str], str]] = {}
    for side, names in (("in", first), ("out", second)):
        weight, bias = (
            "|".join(f"{name}.{kind}" for name in names.split("|")) for kind in ("weight", "bias")
        )
        found |= {weight: ([f"W_{side}"], pattern), bias: ([f"b_{side}"], "width -> width")}
    return found


def _from_config(made: type[nn.Module], config: Config) -> nn.Module:
    return made(config)


def _nanogpt_config(config: Config) -> SimpleNamespace:
    return SimpleNamespace(
        n_embd=config.d_model,
        n_head=config.n_heads,
        n_layer=config.n_layers,
        block_size=config.n_ctx,
        vocab_size=config.d_vocab,
        dropout=config.dropout,
        bias=True,
    )


def _book_config(config: Config) -> dict[str, Any]:
    return {
        "emb_dim": config.d_model,
        "n_heads": config.n_heads,
        "n_layers": config.n_layers,
        "context_length": config.n_ctx,
        "vocab_size": config.d_vocab,
        "drop_rate": config.dropout,
        "qkv_bias": True,
    }


def _book_attention(made: Any, config: Config) -> nn.Module:
    module: nn.Module = made(
        d_in=config.d_model,
        d_out=config.d_model,
        context_length=config.n_ctx,
        dropout=config.dropout,
        num_heads=config.n_heads,
        qkv_bias=True,
    )
    return module


def _hugging_face_config(config: Config) -> Any:
    from transformers import GPT2Config

    return GPT2Config(
        n_embd=config.d_model,
        n_head=config.n_heads,
        n_layer=config.n_layers,
        n_positions=config.n_ctx,
        n_inner=config.d_mlp,
        vocab_size=config.d_vocab,
        attn_pdrop=config.dropout,
        resid_pdrop=config.dropout,
        layer_norm_epsilon=config.layer_norm_eps,
        attn_implementation="sdpa",  # type: ignore[call-arg]
    )


_NANOGPT = Layout(
    "nanogpt",
    {
        "LayerNorm": AdaptedPart(
            ("LayerNorm",),
            lambda made, config: made(config.d_model, bias=True),
            _norm("weight", "bias"),
            (_EPSILON,),
        ),
        "MultiHeadAttention": AdaptedPart(
            ("CausalSelfAttention",),
            lambda made, config: made(_nanogpt_config(config)),
            {
                "c_attn.weight": (
                    ["W_Q", "W_K", "W_V"],
                    "(qkv head d_head) d_model -> qkv head d_model d_head",
                ),
                "c_attn.bias": (["b_Q", "b_K", "b_V"], _QKV_BIAS),
                "c_proj.weight": (["W_O"], _OUT),
                "c_proj.bias": (["b_O"], _SAME),
            },
        ),
        "MLP": AdaptedPart(
            ("MLP",),
            lambda made, config: made(_nanogpt_config(config)),
            _mlp("c_fc", "c_proj"),
        ),
    },
)

_HUGGING_FACE = Layout(
    "hugging-face",
    {
        "LayerNorm": AdaptedPart(
            ("LayerNorm",),
            lambda made, config: made(config.d_model, eps=config.layer_norm_eps),
            _norm("weight", "bias"),
        ),
        "MultiHeadAttention": AdaptedPart(
            ("GPT2Attention",),
            lambda made, config: made(_hugging_face_config(config)),
            {
                "c_attn.weight": (
                    ["W_Q", "W_K", "W_V"],
                    "d_model (qkv head d_head) -> qkv head d_model d_head",
                ),
                "c_attn.bias": (["b_Q", "b_K", "b_V"], _QKV_BIAS),
                "c_proj.weight": (["W_O"], "(head d_head) d_model -> head d_head d_model"),
                "c_proj.bias": (["b_O"], _SAME),
            },
            (_STRIDED,),
        ),
        "MLP": AdaptedPart(
            ("GPT2MLP",),
            lambda made, config: made(config.d_mlp, _hugging_face_config(config)),
            _mlp("c_fc", "c_proj", "d_in d_out -> d_in d_out"),
            (_STRIDED,),
        ),
    },
)

_LINEAR = Layout(
    "linear",
    {
        "LayerNorm": AdaptedPart(
            ("LayerNorm",), _from_config, _norm("w|weight|norm.weight", "b|bias|norm.bias")
        ),
        "MultiHeadAttention": AdaptedPart(
            ("MultiHeadAttention", "CausalSelfAttention", "Attention"),
            _from_config,
            _projections(
                "W_Q|q_proj|W_q|query|w_q|q|to_q",
                "W_K|k_proj|W_k|key|w_k|k|to_k",
                "W_V|v_proj|W_v|value|w_v|v|to_v",
                "W_O|o_proj|out_proj|W_o|proj|w_o|out|o|to_out",
            ),
        ),
        "MLP": AdaptedPart(
            ("MLP", "FeedForward"),
            _from_config,
            _mlp(
                "W_in|fc1|linear1|c_fc|up|up_proj|w1", "W_out|fc2|linear2|c_proj|down|down_proj|w2"
            ),
        ),
    },
)

_BOOK = Layout(
    "llms-from-scratch",
    {
        "LayerNorm": AdaptedPart(
            ("LayerNorm",),
            lambda made, config: made(config.d_model),
            _norm("scale", "shift"),
            (_EPSILON,),
        ),
        "MultiHeadAttention": AdaptedPart(
            ("MultiHeadAttention",),
            _book_attention,
            _projections("W_query", "W_key", "W_value", "out_proj"),
            # The book's attention drops entries of the pattern alone.
            ("Dropout zeroes entries of the pattern, and elements of the output",),
        ),
        "MLP": AdaptedPart(
            ("FeedForward",),
            lambda made, config: made(_book_config(config)),
            _mlp("layers.0", "layers.2"),
            # The book drops in its block, not in its MLP.
            (
                "In training mode dropout drops, and has the right average",
                "Dropout zeroes elements of the output, and divides the others by 1 - p",
            ),
        ),
    },
)

LAYOUTS = {layout.name: layout for layout in (_NANOGPT, _HUGGING_FACE, _LINEAR, _BOOK)}


def find_layout(name: str) -> Layout:
    """The built-in layout of a name. Raises UserError with the nearest."""
    if name in LAYOUTS:
        return LAYOUTS[name]
    hint = did_you_mean(name, LAYOUTS, otherwise=f"there are {', '.join(LAYOUTS)}")
    raise UserError(f"there is no layout {name!r}; {hint}")


def adapted_module(module: ModuleType, layout: Layout) -> ModuleType:
    """A module with the parts that a file has in a layout, under the contract's names."""
    view = ModuleType(module.__name__)
    view.__file__ = module.__file__
    for part, how in layout.parts.items():
        made = next((vars(module)[name] for name in how.classes if name in vars(module)), None)
        if made is not None:
            setattr(view, part, adapted(_factory(how, made), how.tensors, part))
    return view


def _factory(how: AdaptedPart, made: type[nn.Module]) -> Factory:
    return lambda config: how.make(made, config)
