"""Define the layout of ARENA's transformer: TransformerLens's names, its own config."""

from typing import Any

import torch
from torch import nn

from gpt2_small.checker.layouts import module_names
from gpt2_small.checker.layouts.adapter import Tensors
from gpt2_small.checker.layouts.construction import construct, construct_norm
from gpt2_small.checker.layouts.definitions import patterns
from gpt2_small.checker.layouts.layout import AdaptedPart, Layout
from gpt2_small.model_protocol import Config

_VECTOR, _TABLE = patterns.SAME, patterns.TABLE
_NORM = patterns.norm(module_names.GAIN, module_names.NORM_BIAS)
_ATTENTION: Tensors = {
    **{f"W_{one}": ([f"W_{one}"], "head rows columns -> head rows columns") for one in "QKVO"},
    **{f"b_{one}": ([f"b_{one}"], "head d_head -> head d_head") for one in "QKV"},
    "b_O": (["b_O"], _VECTOR),
}
_MLP: Tensors = {
    "W_in|W_hidden|W1": (["W_in"], patterns.STRAIGHT),
    "b_in|b_hidden|b1": (["b_in"], "width -> width"),
    "W_out|W2": (["W_out"], patterns.STRAIGHT),
    "b_out|b2": (["b_out"], "width -> width"),
}
_BLOCK = patterns.block(_NORM, _ATTENTION, _MLP)
_BODY = patterns.model(_BLOCK, _NORM)
_DROPS = "dropout in training mode, with the right mean"


def _model_made(made: type[nn.Module], config: Config) -> nn.Module:
    """A model; if embeddings are tied, the head's bias is not a parameter."""
    model: Any = construct(made, config)
    if config.tied_embeddings and isinstance(getattr(model.unembed, "b_U", None), nn.Parameter):
        del model.unembed.b_U
        model.unembed.register_buffer("b_U", torch.zeros(config.d_vocab))
    return model  # type: ignore[no-any-return]


def _model_tensors(config: Config) -> Tensors:
    """The model's patterns; if embeddings are tied, the head has the token embedding's weight."""
    if config.tied_embeddings:
        return {**_BODY(config), "unembed.W_U": (["embed.W_E"], "d_model rows -> rows d_model")}
    return {
        **_BODY(config),
        "unembed.W_U": (["unembed.W_U"], patterns.STRAIGHT),
        "unembed.b_U": (["unembed.b_U"], _VECTOR),
    }


ARENA = Layout(
    "arena",
    {
        "LayerNorm": AdaptedPart(_NORM, construct_norm),
        "Embedding": AdaptedPart({"W_E": (["W_E"], _TABLE)}),
        "PositionalEmbedding": AdaptedPart({"W_pos": (["W_pos"], _TABLE)}),
        "MultiHeadAttention": AdaptedPart(
            _ATTENTION, not_judged=(_DROPS, "dropout on the pattern", "dropout on the output")
        ),
        "MLP": AdaptedPart(
            _MLP, not_judged=(_DROPS, "dropout on the output, the rest divided by 1 - p")
        ),
        "TransformerBlock": AdaptedPart(_BLOCK),
        "Unembedding": AdaptedPart(
            {"W_U": (["W_U"], patterns.STRAIGHT), "b_U": (["b_U"], _VECTOR)}
        ),
        "Transformer": AdaptedPart(
            _model_tensors, _model_made, not_judged=("dropout on the sum of the embeddings",)
        ),
    },
    (
        "ARENA's model has no dropout. Its head is not tied; it is judged with the token "
        "embedding's weight, and with its own weight.",
    ),
    telling_classes=("Attention", "DemoTransformer"),
)
