"""List the class and module names of public implementations of GPT-2.

Module names are alternatives in patterns.
"""

# The first of these in a file is its class.
CLASSES = {
    "LayerNorm": ("LayerNorm", "Layernorm", "LayerNormalization"),
    "Embedding": ("Embed", "TokenEmbedding", "Embedding"),
    "PositionalEmbedding": ("PosEmbed", "PositionEmbedding", "PositionalEmbedding"),
    "MultiHeadAttention": (
        "GPT2Attention",
        "CausalSelfAttention",
        "MultiHeadAttention",
        "MultiHeadSelfAttention",
        "MultiHeadCausalAttention",
        "CausalMultiHeadAttention",
        "MaskedMultiHeadAttention",
        "Attention",
    ),
    "MLP": ("GPT2MLP", "MLP", "FeedForward", "FeedForwardNetwork", "FeedFoward", "FFN"),
    "TransformerBlock": ("GPT2Block", "TransformerBlock", "Block", "DecoderBlock", "GPTBlock"),
    "Unembedding": ("Unembed", "Unembedding"),
    "Transformer": (
        "GPT2LMHeadModel",
        "DemoTransformer",
        "GPT",
        "GPT2",
        "GPTModel",
        "GPTLanguageModel",
        "GPT2Model",
        "Transformer",
    ),
}

FIRST_NORM = (
    "ln1|ln_1|norm1|norm_1|attn_norm|ln_attn|attn_ln|attention_norm|attention_ln|layer_norm_1|"
    "layer_norm1|layernorm1|layernorm_1|input_layernorm"
)
SECOND_NORM = (
    "ln2|ln_2|norm2|norm_2|mlp_norm|ffn_norm|ff_norm|ln_mlp|mlp_ln|ff_ln|layer_norm_2|"
    "layer_norm2|layernorm2|layernorm_2|post_attention_layernorm"
)
ATTENTION = (
    "attn|attention|self_attn|self_attention|att|sa|sa_heads|mha|causal_attn|attn_layer|"
    "attention_layer|multi_head_attention|multihead_attention|multiheadattention|attention_block|"
    "mhsa|self_att|causal_attention|multihead_attn|masked_attn"
)
MLP = "mlp|ff|ffn|ffwd|ffd|feed_forward|feedforward|feed_fwd|mlp_layer|ff_layer|mlp_block"
BLOCKS = (
    "((transformer|decoder|model).)?"
    "(blocks|layers|h|block|trf_blocks|trf_block|transformer_blocks|transformer_layers)"
)
_OUTER = r"(\w+.)?(\w+.)?"  # outer modules, such as transformer.embeddings
TOKENS = (
    f"{_OUTER}(embed|embedding|tok_embed|tok_emb|token_embed|token_emb|token_embs|tok_embedding|"
    "tok_embeddings|token_embedding|token_embeddings|token_embedding_table|word_embedding|wte)"
)
POSITIONS = (
    f"{_OUTER}(pos_embed|pos_emb|pos_embs|pos_embedding|pos_embeddings|position_embed|position_emb|"
    "position_embedding|position_embeddings|position_embedding_table|positional_embedding|"
    "positional_embeddings|wpe)"
)
FINAL_NORM = (
    "((transformer|decoder|model).)?"
    "(ln_final|ln_f|lnf|final_norm|norm_f|norm|final_ln|ln_out|final_layer_norm|layer_norm|"
    "layernorm|final_layernorm|post_ln|ln)"
)
HEAD = (
    "unembed|unembedding|lm_head|head|out_head|output_head|out_proj|proj_out|fc_out|output_layer|"
    "output|out"
)
QUERY = "W_Q|q_proj|W_q|Wq|W_query|w_query|query|query_proj|w_q|q_w|q|to_q|wq|q_linear|queries"
KEY = "W_K|k_proj|W_k|Wk|W_key|w_key|key|key_proj|w_k|k_w|k|to_k|wk|k_linear|keys"
VALUE = "W_V|v_proj|W_v|Wv|W_value|w_value|value|value_proj|w_v|v_w|v|to_v|wv|v_linear|values"
OUTPUT = (
    "W_O|o_proj|out_proj|output_proj|W_o|Wo|W_out|c_proj|proj|projection|w_o|o_w|out|o|to_out|wo|"
    "output|out_linear|fc_out|linear|out_projection|dense|w_concat|fc"
)
_SEQUENTIALS = "net|layers|mlp|ff|ffn|ffwd|feed_forward|model|seq|sequential|main"
LAYER_IN = (
    "W_in|fc1|fc_1|fc_in|linear1|linear_1|lin1|c_fc|up|up_proj|w1|w_1|expand|l1|layer1|layer_1|"
    f"dense1|proj_in|linear_in|({_SEQUENTIALS}).0"
)
LAYER_OUT = (
    "W_out|fc2|fc_2|fc_out|linear2|linear_2|lin2|c_proj|down|down_proj|w2|w_2|contract|proj|l2|"
    "layer2|layer_2|dense2|proj_out|linear_out|"
    f"({_SEQUENTIALS}).2"
)
GAIN = "w|weight|gamma|scale|gain|g"
NORM_BIAS = "b|bias|beta|shift"
JOINT = "c_attn|qkv|qkv_proj|W_qkv|Wqkv|to_qkv|in_proj|attn_proj|attn|kqv|qkv_linear|qkv_layer"

# The outer part, and the path in it, of a part without a class of its own.
PLACES = {
    "LayerNorm": ("TransformerBlock", FIRST_NORM),
    "MultiHeadAttention": ("TransformerBlock", ATTENTION),
    "MLP": ("TransformerBlock", MLP),
    "TransformerBlock": ("Transformer", f"{BLOCKS}.0"),
}
