"""Define the layout of "Build a Large Language Model (From Scratch)" (Raschka 2024), chapter 4."""

from gpt2_small.checker.layouts import module_names
from gpt2_small.checker.layouts.adapter import Tensors
from gpt2_small.checker.layouts.construction import construct_norm
from gpt2_small.checker.layouts.definitions import patterns
from gpt2_small.checker.layouts.definitions.linear import ATTENTION, BLOCK, BODY, MLP, NORM
from gpt2_small.checker.layouts.layout import AdaptedPart, Layout
from gpt2_small.model_protocol import Config

_HEAD = f"({module_names.HEAD}).weight"


def _model_tensors(config: Config) -> Tensors:
    """The model's patterns; if embeddings are tied, the head has the token embedding's weight."""
    if config.tied_embeddings:
        return {**BODY(config), _HEAD: (["embed.W_E"], patterns.TABLE)}
    return {**BODY(config), _HEAD: (["unembed.W_U"], patterns.TURNED)}


LLMS_FROM_SCRATCH = Layout(
    "llms-from-scratch",
    {
        "LayerNorm": AdaptedPart(
            NORM, construct_norm, not_judged=("epsilon is config.layer_norm_eps",)
        ),
        "MultiHeadAttention": AdaptedPart(
            ATTENTION,
            # The book's attention applies dropout to the pattern only.
            not_judged=("dropout on the pattern", "dropout on the output"),
        ),
        "MLP": AdaptedPart(
            MLP,
            # The book applies dropout in its block, not in its MLP.
            not_judged=(
                "dropout in training mode, with the right mean",
                "dropout on the output, the rest divided by 1 - p",
            ),
            fixed=("d_mlp",),
        ),
        "TransformerBlock": AdaptedPart(BLOCK),
        "Transformer": AdaptedPart(_model_tensors, lacks=("unembed.b_U",)),
    },
    (
        "The book's head is not tied; it is judged with the token embedding's weight, and with its "
        "own weight, to which b_U is added.",
    ),
)
