"""Define the layout of nanoGPT, minGPT and build-nanogpt: `model.py` of Karpathy 2022."""

import inspect
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from torch import Tensor, nn

from gpt2_small.checker.layouts import patterns
from gpt2_small.checker.layouts.adapter import Tensors
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
_MLP = patterns.two_layers("c_fc", "c_proj")
_BLOCK: Tensors = {
    **patterns.inside("ln_1", "ln1", _NORM),
    **patterns.inside("attn", "attn", _ATTENTION),
    **patterns.inside("ln_2", "ln2", _NORM),
    **patterns.inside("mlp", "mlp", _MLP),
}
_BODY = patterns.model(
    tokens="transformer.wte.weight",
    positions="transformer.wpe.weight",
    blocks="transformer.h",
    final="transformer.ln_f",
    block=_BLOCK,
    final_norm=_NORM,
)


def _config(config: Config) -> SimpleNamespace:
    """nanoGPT's configuration, with the names of minGPT's dropouts."""
    return SimpleNamespace(
        n_embd=config.d_model,
        n_head=config.n_heads,
        n_layer=config.n_layers,
        block_size=config.n_ctx,
        vocab_size=config.d_vocab,
        dropout=config.dropout,
        attn_pdrop=config.dropout,
        resid_pdrop=config.dropout,
        embd_pdrop=config.dropout,
        bias=True,
        model_type=None,
    )


def _made(made: type[nn.Module], config: Config) -> nn.Module:
    return made(_config(config))


def _norm_made(made: type[nn.Module], config: Config) -> nn.Module:
    takes_bias = "bias" in inspect.signature(made).parameters
    return made(config.d_model, bias=True) if takes_bias else made(config.d_model)


def _model_tensors(config: Config) -> Tensors:
    return {**_BODY(config), "lm_head.weight?": patterns.OWN_HEAD}


def _all_logits(module: nn.Module, run: Callable[..., Any], tokens: Tensor) -> Any:
    """nanoGPT gives the logits of all positions only beside a loss."""
    if "targets" in inspect.signature(module.forward).parameters:
        return run(tokens, tokens.contiguous())
    return run(tokens)


NANOGPT = Layout(
    "nanogpt",
    {
        "LayerNorm": AdaptedPart(
            ("LayerNorm",),
            _norm_made,
            _NORM,
            ("TransformerBlock", "ln_1"),
            ("epsilon is config.layer_norm_eps",),
        ),
        "MultiHeadAttention": AdaptedPart(
            ("CausalSelfAttention",), _made, _ATTENTION, ("TransformerBlock", "attn")
        ),
        "MLP": AdaptedPart(("MLP",), _made, _MLP, ("TransformerBlock", "mlp"), fixed=("d_mlp",)),
        "TransformerBlock": AdaptedPart(
            ("Block",), _made, _BLOCK, ("Transformer", "transformer.h.0")
        ),
        "Transformer": AdaptedPart(
            ("GPT", "GPT2"), _made, _model_tensors, not_judged=UNTIED, call=_all_logits
        ),
    },
)
