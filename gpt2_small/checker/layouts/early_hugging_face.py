"""Define the layout of the first GPT-2 in PyTorch, and of what was copied from it.

It is that of pytorch-pretrained-BERT (2019) and of transformers up to version 3: the parameters of
transformers' GPT-2, in classes with other names and arguments.
"""

import inspect
from types import SimpleNamespace

from torch import nn

from gpt2_small.checker.layouts import patterns
from gpt2_small.checker.layouts.adapter import Tensors
from gpt2_small.checker.layouts.hugging_face import ATTENTION, BLOCK, BODY, MLP, NORM, STRIDED
from gpt2_small.checker.layouts.layout import AdaptedPart, Layout
from gpt2_small.checker.layouts.nanogpt import UNTIED
from gpt2_small.model_protocol import Config


def _config(config: Config) -> SimpleNamespace:
    """The fields of the first GPT2Config, and those that transformers added up to version 3."""
    return SimpleNamespace(
        n_embd=config.d_model,
        hidden_size=config.d_model,
        n_head=config.n_heads,
        n_layer=config.n_layers,
        n_positions=config.n_ctx,
        n_ctx=config.n_ctx,
        n_inner=config.d_mlp,
        vocab_size=config.d_vocab,
        attn_pdrop=config.dropout,
        resid_pdrop=config.dropout,
        embd_pdrop=config.dropout,
        layer_norm_epsilon=config.layer_norm_eps,
        initializer_range=config.init_std,
        activation_function="gelu_new",
        output_attentions=False,
        output_hidden_states=False,
        use_cache=True,
    )


def _made(made: type[nn.Module], config: Config) -> nn.Module:
    """A module from those of these arguments that its constructor takes."""
    known = {
        "config": _config(config),
        "nx": config.d_model,
        "n_ctx": config.n_ctx,
        "n_state": config.d_mlp,
        "scale": True,
    }
    taken = inspect.signature(made).parameters
    return made(**{name: value for name, value in known.items() if name in taken})


def _model_tensors(config: Config) -> Tensors:
    return {**BODY(config), "lm_head.(decoder.)?weight?": patterns.OWN_HEAD}


EARLY_HUGGING_FACE = Layout(
    "early-hugging-face",
    {
        "LayerNorm": AdaptedPart(
            ("LayerNorm",),
            lambda made, config: made(config.d_model, eps=config.layer_norm_eps),
            NORM,
            ("TransformerBlock", "ln_1"),
        ),
        "MultiHeadAttention": AdaptedPart(
            ("Attention",), _made, ATTENTION, ("TransformerBlock", "attn"), (STRIDED,)
        ),
        "MLP": AdaptedPart(("MLP",), _made, MLP, ("TransformerBlock", "mlp"), (STRIDED,)),
        "TransformerBlock": AdaptedPart(
            ("Block",),
            _made,
            BLOCK,
            ("Transformer", "transformer.h.0"),
            (STRIDED,),
            fixed=("d_mlp",),
        ),
        "Transformer": AdaptedPart(
            ("GPT2LMHeadModel",),
            _made,
            _model_tensors,
            not_judged=(*UNTIED, STRIDED),
            fixed=("d_mlp",),
        ),
    },
)
