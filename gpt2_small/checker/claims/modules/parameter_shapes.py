"""State the names and shapes of every module's parameters: TransformerLens's."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

Shapes = dict[str, tuple[int, ...]]

_Axes = Mapping[str, tuple[str, ...]]
# The axes of parameters that differ from GPT-2's, while a variant is checked.
_OTHER_AXES: ContextVar[Mapping[str, _Axes]] = ContextVar("other axes", default={})  # noqa: B039

_NORM: _Axes = {"w": ("d_model",), "b": ("d_model",)}
_ATTENTION: _Axes = {
    "W_Q": ("n_heads", "d_model", "d_head"),
    "W_K": ("n_heads", "d_model", "d_head"),
    "W_V": ("n_heads", "d_model", "d_head"),
    "W_O": ("n_heads", "d_head", "d_model"),
    "b_Q": ("n_heads", "d_head"),
    "b_K": ("n_heads", "d_head"),
    "b_V": ("n_heads", "d_head"),
    "b_O": ("d_model",),
}
_MLP: _Axes = {
    "W_in": ("d_model", "d_mlp"),
    "b_in": ("d_mlp",),
    "W_out": ("d_mlp", "d_model"),
    "b_out": ("d_model",),
}
_PARTS: dict[str, _Axes] = {
    "LayerNorm": _NORM,
    "Embedding": {"W_E": ("d_vocab", "d_model")},
    "PositionalEmbedding": {"W_pos": ("n_ctx", "d_model")},
    "MultiHeadAttention": _ATTENTION,
    "MLP": _MLP,
    "Unembedding": {"W_U": ("d_model", "d_vocab"), "b_U": ("d_vocab",)},
}
_BLOCK = {"ln1": "LayerNorm", "attn": "MultiHeadAttention", "ln2": "LayerNorm", "mlp": "MLP"}


@contextmanager
def other_axes(axes: Mapping[str, _Axes]) -> Iterator[None]:
    """In this context, give some parts other parameters."""
    token = _OTHER_AXES.set(axes)
    try:
        yield
    finally:
        _OTHER_AXES.reset(token)


def axes_of(part: str) -> dict[str, tuple[str, ...]]:
    """The axes of each of GPT-2's parameters in a part without inner parts."""
    return dict(_PARTS[part])


def parameters_of(part: str, settings: Mapping[str, Any]) -> Shapes:
    """Names and shapes of a module's parameters, in the reference's order.

    settings: its configuration's fields with d_head and d_mlp.
    """
    if part in _PARTS:
        named = _OTHER_AXES.get().get(part, _PARTS[part])
        return {name: tuple(int(settings[axis]) for axis in axes) for name, axes in named.items()}
    found: Shapes = {}
    for place, inner in _inside(part, settings).items():
        found |= {f"{place}.{name}": s for name, s in parameters_of(inner, settings).items()}
    return found


def _inside(part: str, settings: Mapping[str, Any]) -> dict[str, str]:
    """The inner modules by path."""
    if part == "TransformerBlock":
        return _BLOCK
    blocks = {f"blocks.{number}": "TransformerBlock" for number in range(settings["n_layers"])}
    places = {"embed": "Embedding", "pos_embed": "PositionalEmbedding", **blocks}
    tied = settings.get("tied_embeddings", True)
    return places | {"ln_final": "LayerNorm"} | ({} if tied else {"unembed": "Unembedding"})
