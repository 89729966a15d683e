"""Define the layout of "Build a Large Language Model (From Scratch)" (Raschka 2024), chapter 4."""

from typing import Any

from torch import nn

from gpt2_small.checker.layouts import patterns
from gpt2_small.checker.layouts.adapter import Tensors
from gpt2_small.checker.layouts.layout import AdaptedPart, Layout
from gpt2_small.model_protocol import Config

_NORM = patterns.norm("scale", "shift")
_ATTENTION = patterns.projections("W_query", "W_key", "W_value", "out_proj")
_MLP = patterns.two_layers("layers.0", "layers.2")
_BLOCK: Tensors = {
    **patterns.inside("norm1", "ln1", _NORM),
    **patterns.inside("att", "attn", _ATTENTION),
    **patterns.inside("norm2", "ln2", _NORM),
    **patterns.inside("ff", "mlp", _MLP),
}
_BODY = patterns.model(
    tokens="tok_emb.weight",
    positions="pos_emb.weight",
    blocks="trf_blocks",
    final="final_norm",
    block=_BLOCK,
    final_norm=_NORM,
)


def _config(config: Config) -> dict[str, Any]:
    return {
        "emb_dim": config.d_model,
        "n_heads": config.n_heads,
        "n_layers": config.n_layers,
        "context_length": config.n_ctx,
        "vocab_size": config.d_vocab,
        "drop_rate": config.dropout,
        "qkv_bias": True,
    }


def _made(made: type[nn.Module], config: Config) -> nn.Module:
    return made(_config(config))


def _attention(made: Any, config: Config) -> nn.Module:
    module: nn.Module = made(
        d_in=config.d_model,
        d_out=config.d_model,
        context_length=config.n_ctx,
        dropout=config.dropout,
        num_heads=config.n_heads,
        qkv_bias=True,
    )
    return module


def _model_tensors(config: Config) -> Tensors:
    """The head is judged with the token embedding's weight where that is asked for."""
    if config.tied_embeddings:
        return {**_BODY(config), "out_head.weight": (["embed.W_E"], patterns.TABLE)}
    return {**_BODY(config), "out_head.weight": (["unembed.W_U"], patterns.TURNED)}


LLMS_FROM_SCRATCH = Layout(
    "llms-from-scratch",
    {
        "LayerNorm": AdaptedPart(
            ("LayerNorm",),
            lambda made, config: made(config.d_model),
            _NORM,
            ("TransformerBlock", "norm1"),
            ("epsilon is config.layer_norm_eps",),
        ),
        "MultiHeadAttention": AdaptedPart(
            ("MultiHeadAttention",),
            _attention,
            _ATTENTION,
            ("TransformerBlock", "att"),
            # The book's attention drops entries of the pattern alone.
            ("dropout on the pattern and on the output",),
        ),
        "MLP": AdaptedPart(
            ("FeedForward",),
            _made,
            _MLP,
            ("TransformerBlock", "ff"),
            # The book drops in its block, not in its MLP.
            (
                "dropout in training mode, with the right mean",
                "dropout on the output, the rest divided by 1 - p",
            ),
            fixed=("d_mlp",),
        ),
        "TransformerBlock": AdaptedPart(
            ("TransformerBlock",), _made, _BLOCK, ("Transformer", "trf_blocks.0")
        ),
        "Transformer": AdaptedPart(("GPTModel",), _made, _model_tensors, lacks=("unembed.b_U",)),
    },
    (
        "The book's head is not tied; it is judged with the token embedding's weight, and with",
        "one of its own, to which b_U is added.",
    ),
)
