"""Define the layout of models with an nn.Linear for each of queries, keys, values and output."""

from collections.abc import Sequence

from gpt2_small.checker.layouts import module_names
from gpt2_small.checker.layouts.adapter import Tensors
from gpt2_small.checker.layouts.construction import construct_norm
from gpt2_small.checker.layouts.definitions import patterns
from gpt2_small.checker.layouts.layout import AdaptedPart, Layout
from gpt2_small.model_protocol import Config

_ANY = r"(\w+.)?"  # the inner module's name
NORM = patterns.norm(f"{_ANY}({module_names.GAIN})", f"{_ANY}({module_names.NORM_BIAS})")
ATTENTION = patterns.separate_projections()
MLP = patterns.two_layers(module_names.LAYER_IN, module_names.LAYER_OUT)
BLOCK = patterns.block(NORM, ATTENTION, MLP)
BODY = patterns.model(BLOCK, NORM)
_HEAD = f"({module_names.HEAD}).{_ANY}"


def _model_tensors(config: Config) -> Tensors:
    if config.tied_embeddings:
        return {**BODY(config), f"{_HEAD}(weight|W_U)?": patterns.OWN_HEAD}
    head: dict[str, tuple[Sequence[str], str]] = {
        f"{_HEAD}(weight|W_U)": (["unembed.W_U"], patterns.TURNED),
        f"{_HEAD}(bias|b_U)": (["unembed.b_U"], "d_vocab -> d_vocab"),
    }
    return {**BODY(config), **head}


LINEAR = Layout(
    "linear",
    {
        "LayerNorm": AdaptedPart(NORM, construct_norm),
        "Embedding": AdaptedPart({f"{_ANY}(weight|W_E)": (["W_E"], patterns.TABLE)}),
        "PositionalEmbedding": AdaptedPart({f"{_ANY}(weight|W_pos)": (["W_pos"], patterns.TABLE)}),
        "MultiHeadAttention": AdaptedPart(ATTENTION),
        "MLP": AdaptedPart(MLP),
        "TransformerBlock": AdaptedPart(BLOCK),
        "Unembedding": AdaptedPart(
            {
                f"{_ANY}(weight|W_U)": (["W_U"], patterns.TURNED),
                f"{_ANY}(bias|b_U)": (["b_U"], "d_vocab -> d_vocab"),
            }
        ),
        "Transformer": AdaptedPart(_model_tensors),
    },
)
