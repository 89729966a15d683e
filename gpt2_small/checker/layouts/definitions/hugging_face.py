"""Define the layout of transformers' GPT-2, and of modules with its names."""

from typing import Any

from torch import nn

from gpt2_small.checker.layouts import module_names
from gpt2_small.checker.layouts.adapter import Tensors
from gpt2_small.checker.layouts.construction import construct, construct_norm
from gpt2_small.checker.layouts.definitions import patterns
from gpt2_small.checker.layouts.definitions.nanogpt import UNTIED
from gpt2_small.checker.layouts.layout import AdaptedPart, Layout
from gpt2_small.model_protocol import Config

# A claim that is not judged, because Conv1D views its input.
STRIDED = "same output for a non-contiguous input"
NORM = patterns.norm("weight", "bias")
ATTENTION = patterns.joint_projections(
    "d_model (qkv head d_head) -> qkv head d_model d_head",
    "(head d_head) d_model -> head d_head d_model",
)
MLP = patterns.two_layers(module_names.LAYER_IN, module_names.LAYER_OUT, patterns.STRAIGHT)
BLOCK = patterns.block(NORM, ATTENTION, MLP)
BODY = patterns.model(BLOCK, NORM)


def _config(config: Config) -> Any:
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
        embd_pdrop=config.dropout,
        layer_norm_epsilon=config.layer_norm_eps,
        tie_word_embeddings=config.tied_embeddings,
        bos_token_id=0,
        eos_token_id=0,
        attn_implementation="sdpa",  # type: ignore[call-arg]
    )


def _made(made: type[nn.Module], config: Config) -> nn.Module:
    return construct(made, config, config=_config(config))


def _model_tensors(config: Config) -> Tensors:
    return {**BODY(config), f"({module_names.HEAD}).weight?": patterns.OWN_HEAD}


HUGGING_FACE = Layout(
    "hugging-face",
    {
        "LayerNorm": AdaptedPart(NORM, construct_norm),
        "MultiHeadAttention": AdaptedPart(ATTENTION, _made, not_judged=(STRIDED,)),
        "MLP": AdaptedPart(MLP, _made, not_judged=(STRIDED,)),
        "TransformerBlock": AdaptedPart(BLOCK, _made, not_judged=(STRIDED,)),
        "Transformer": AdaptedPart(_model_tensors, _made, not_judged=(*UNTIED, STRIDED)),
    },
)
