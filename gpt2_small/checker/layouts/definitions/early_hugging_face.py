"""Define the layout of the first GPT-2 in PyTorch, and of its copies.

It is that of pytorch-pretrained-BERT (2019) and of transformers up to version 3: the parameters of
transformers' GPT-2 in classes with other names and arguments.
"""

from torch import nn

from gpt2_small.checker.layouts import module_names
from gpt2_small.checker.layouts.adapter import Tensors
from gpt2_small.checker.layouts.construction import construct, construct_norm
from gpt2_small.checker.layouts.definitions import patterns
from gpt2_small.checker.layouts.definitions.hugging_face import (
    ATTENTION,
    BLOCK,
    BODY,
    MLP,
    NORM,
    STRIDED,
)
from gpt2_small.checker.layouts.definitions.nanogpt import UNTIED
from gpt2_small.checker.layouts.layout import AdaptedPart, Layout
from gpt2_small.model_protocol import Config


def _made(made: type[nn.Module], config: Config) -> nn.Module:
    return construct(made, config, scale=True)


def _model_tensors(config: Config) -> Tensors:
    return {**BODY(config), f"({module_names.HEAD}).(decoder.)?weight?": patterns.OWN_HEAD}


EARLY_HUGGING_FACE = Layout(
    "early-hugging-face",
    {
        "LayerNorm": AdaptedPart(NORM, construct_norm),
        "MultiHeadAttention": AdaptedPart(ATTENTION, _made, not_judged=(STRIDED,)),
        "MLP": AdaptedPart(MLP, _made, not_judged=(STRIDED,)),
        "TransformerBlock": AdaptedPart(BLOCK, _made, not_judged=(STRIDED,), fixed=("d_mlp",)),
        "Transformer": AdaptedPart(
            _model_tensors, _made, not_judged=(*UNTIED, STRIDED), fixed=("d_mlp",)
        ),
    },
)
