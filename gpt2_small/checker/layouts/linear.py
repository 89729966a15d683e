"""Define the layout of models that take a TransformerConfig and are made of torch's own modules."""

from collections.abc import Sequence

from torch import nn

from gpt2_small.checker.layouts import patterns
from gpt2_small.checker.layouts.adapter import Tensors
from gpt2_small.checker.layouts.layout import AdaptedPart, Layout
from gpt2_small.model_protocol import Config

_ANY = r"(\w+.)?"  # the name of a module inside
_NORM = patterns.norm(f"{_ANY}(w|weight)", f"{_ANY}(b|bias)")
_ATTENTION = patterns.projections(
    "W_Q|q_proj|W_q|W_query|query|w_q|q|to_q|wq",
    "W_K|k_proj|W_k|W_key|key|w_k|k|to_k|wk",
    "W_V|v_proj|W_v|W_value|value|w_v|v|to_v|wv",
    "W_O|o_proj|out_proj|W_o|W_out|c_proj|proj|w_o|out|o|to_out|wo|output",
)
_MLP = patterns.two_layers(
    "W_in|fc1|fc_in|linear1|lin1|c_fc|up|up_proj|w1|net.0|layers.0",
    "W_out|fc2|fc_out|linear2|lin2|c_proj|down|down_proj|w2|net.2|layers.2",
)
_LN1, _ATTN = "ln1|ln_1|norm1|norm_1|attn_norm|ln_attn", "attn|attention|self_attn|att|sa|mha"
_FF, _BLOCKS = "mlp|ff|ffn|ffwd|feed_forward", "blocks|layers|h"
_BLOCK: Tensors = {
    **patterns.inside(_LN1, "ln1", _NORM),
    **patterns.inside(_ATTN, "attn", _ATTENTION),
    **patterns.inside("ln2|ln_2|norm2|norm_2|mlp_norm|ffn_norm|ln_mlp", "ln2", _NORM),
    **patterns.inside(_FF, "mlp", _MLP),
}
_TOKENS = "embed|embedding|tok_embed|tok_emb|token_embed|token_emb|token_embedding|wte"
_POSITIONS = "pos_embed|pos_emb|position_embed|position_embedding|positional_embedding|wpe"
_BODY = patterns.model(
    tokens=f"({_TOKENS}).{_ANY}(weight|W_E)",
    positions=f"({_POSITIONS}).{_ANY}(weight|W_pos)",
    blocks=_BLOCKS,
    final="ln_final|ln_f|final_norm|norm_f|norm|final_ln",
    block=_BLOCK,
    final_norm=_NORM,
)
_HEAD = f"(unembed|lm_head|head|out_head|unembedding).{_ANY}"


def _made(made: type[nn.Module], config: Config) -> nn.Module:
    return made(config)


def _model_tensors(config: Config) -> Tensors:
    if config.tied_embeddings:
        return {**_BODY(config), f"{_HEAD}(weight|W_U)?": patterns.OWN_HEAD}
    head: dict[str, tuple[Sequence[str], str]] = {
        f"{_HEAD}(weight|W_U)": (["unembed.W_U"], patterns.TURNED),
        f"{_HEAD}(bias|b_U)": (["unembed.b_U"], "d_vocab -> d_vocab"),
    }
    return {**_BODY(config), **head}


LINEAR = Layout(
    "linear",
    {
        "LayerNorm": AdaptedPart(("LayerNorm",), _made, _NORM, ("TransformerBlock", _LN1)),
        "Embedding": AdaptedPart(
            ("Embedding", "Embed", "TokenEmbedding"),
            _made,
            {f"{_ANY}(weight|W_E)": (["W_E"], patterns.TABLE)},
        ),
        "PositionalEmbedding": AdaptedPart(
            ("PositionalEmbedding", "PosEmbed", "PositionEmbedding"),
            _made,
            {f"{_ANY}(weight|W_pos)": (["W_pos"], patterns.TABLE)},
        ),
        "MultiHeadAttention": AdaptedPart(
            ("MultiHeadAttention", "CausalSelfAttention", "Attention"),
            _made,
            _ATTENTION,
            ("TransformerBlock", _ATTN),
        ),
        "MLP": AdaptedPart(("MLP", "FeedForward"), _made, _MLP, ("TransformerBlock", _FF)),
        "TransformerBlock": AdaptedPart(
            ("TransformerBlock", "Block"), _made, _BLOCK, ("Transformer", f"({_BLOCKS}).0")
        ),
        "Unembedding": AdaptedPart(
            ("Unembedding", "Unembed"),
            _made,
            {
                f"{_ANY}(weight|W_U)": (["W_U"], patterns.TURNED),
                f"{_ANY}(bias|b_U)": (["b_U"], "d_vocab -> d_vocab"),
            },
        ),
        "Transformer": AdaptedPart(("Transformer", "GPT", "GPT2"), _made, _model_tensors),
    },
)
