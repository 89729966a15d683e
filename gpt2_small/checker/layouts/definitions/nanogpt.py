"""Define the layout of nanoGPT, minGPT and build-nanogpt: `model.py` of Karpathy 2022."""

import inspect
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from gpt2_small.checker.layouts import module_names
from gpt2_small.checker.layouts.adapter import Tensors
from gpt2_small.checker.layouts.construction import construct_norm
from gpt2_small.checker.layouts.definitions import patterns
from gpt2_small.checker.layouts.layout import AdaptedPart, Layout
from gpt2_small.model_protocol import Config

UNTIED = (
    "untied embeddings:",
    "GPT-2's weights load strictly",
    "dropout on the sum of the embeddings",
    "same output as TransformerLens",
)
_NORM = patterns.norm("weight", "bias")
_ATTENTION = patterns.joint_projections(
    "(qkv head d_head) d_model -> qkv head d_model d_head",
    "d_model (head d_head) -> head d_head d_model",
)
_MLP = patterns.two_layers(module_names.LAYER_IN, module_names.LAYER_OUT)
_BLOCK = patterns.block(_NORM, _ATTENTION, _MLP)
_BODY = patterns.model(_BLOCK, _NORM)


def _model_tensors(config: Config) -> Tensors:
    return {**_BODY(config), f"({module_names.HEAD}).weight?": patterns.OWN_HEAD}


def _all_logits(module: nn.Module, run: Callable[..., Any], tokens: Tensor) -> Any:
    """Pass targets, because nanoGPT returns the logits of all positions only with a loss."""
    if "targets" in inspect.signature(module.forward).parameters:
        return run(tokens, tokens.contiguous())
    return run(tokens)


NANOGPT = Layout(
    "nanogpt",
    {
        "LayerNorm": AdaptedPart(
            _NORM, construct_norm, not_judged=("epsilon is config.layer_norm_eps",)
        ),
        "MultiHeadAttention": AdaptedPart(_ATTENTION),
        "MLP": AdaptedPart(_MLP, fixed=("d_mlp",)),
        "TransformerBlock": AdaptedPart(_BLOCK),
        "Transformer": AdaptedPart(_model_tensors, not_judged=UNTIED, call=_all_logits),
    },
)
