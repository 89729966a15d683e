"""GPT-2 as five functions of its weights: a head, several, an MLP, a block, the whole model.

`weights` holds tensors under TransformerLens's names, as the state dict of `solution.py` does: a
function takes the names of its own part, `W_Q` for attention and `attn.W_Q` for a block.
"""

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from einops import einsum
from jaxtyping import Float, Int
from torch import Tensor

EPS = 1e-5

Weights = Mapping[str, Tensor]


def under(weights: Weights, prefix: str) -> dict[str, Tensor]:
    """Return the weights whose names begin with a prefix, without it."""
    return {name[len(prefix) :]: w for name, w in weights.items() if name.startswith(prefix)}


def layer_norm(
    residual: Float[Tensor, "batch seq d_model"], weights: Weights
) -> Float[Tensor, "batch seq d_model"]:
    """Normalise every position, then apply the gain w and the bias b (Ba et al. 2016)."""
    return F.layer_norm(residual, weights["w"].shape, weights["w"], weights["b"], EPS)


def head(
    residual: Float[Tensor, "batch seq d_model"],
    W_Q: Float[Tensor, "d_model d_head"],
    W_K: Float[Tensor, "d_model d_head"],
    W_V: Float[Tensor, "d_model d_head"],
) -> Float[Tensor, "batch seq d_head"]:
    """One attention head: queries, keys and values are linear maps of the same positions.

    Scores are divided by sqrt(d_head), and no position sees a later one (Vaswani et al. 2017,
    section 3.2.1).
    """
    query, key, value = residual @ W_Q, residual @ W_K, residual @ W_V
    scores = einsum(query, key, "batch seq_q d_head, batch seq_k d_head -> batch seq_q seq_k")
    seq = residual.shape[1]
    mask = torch.full((seq, seq), -math.inf, dtype=residual.dtype).triu(diagonal=1)
    pattern = (scores / math.sqrt(W_Q.shape[-1]) + mask).softmax(dim=-1)
    return einsum(pattern, value, "batch seq_q seq_k, batch seq_k d_head -> batch seq_q d_head")


def multi_head(
    residual: Float[Tensor, "batch seq d_model"], weights: Weights
) -> Float[Tensor, "batch seq d_model"]:
    """Several heads side by side, each projected back to d_model, added up.

    W_Q, W_K and W_V are [head d_model d_head], their biases b_Q, b_K and b_V [head d_head], W_O is
    [head d_head d_model] and b_O [d_model] (Vaswani et al. 2017, section 3.2.2).
    """
    project = "batch seq d_model, head d_model d_head -> batch seq head d_head"
    query, key, value = (
        einsum(residual, weights[f"W_{name}"], project) + weights[f"b_{name}"] for name in "QKV"
    )
    scores = einsum(
        query,
        key,
        "batch seq_q head d_head, batch seq_k head d_head -> batch head seq_q seq_k",
    )
    seq = residual.shape[1]
    is_later = torch.ones(seq, seq, dtype=torch.bool).triu(diagonal=1)
    similarity = (scores / math.sqrt(query.shape[-1])).masked_fill(is_later, -math.inf)
    pattern = similarity.softmax(dim=-1)
    z = einsum(
        pattern,
        value,
        "batch head seq_q seq_k, batch seq_k head d_head -> batch seq_q head d_head",
    )
    output = einsum(
        z, weights["W_O"], "batch seq head d_head, head d_head d_model -> batch seq d_model"
    )
    return output + weights["b_O"]


def mlp(
    residual: Float[Tensor, "batch seq d_model"], weights: Weights
) -> Float[Tensor, "batch seq d_model"]:
    """A linear map to d_mlp, the tanh form of GELU, and a linear map back, at every position.

    W_in is [d_model d_mlp], W_out [d_mlp d_model]; the biases are b_in and b_out (Vaswani et al.
    2017, section 3.3; Hendrycks and Gimpel 2016, section 2).
    """
    pre = residual @ weights["W_in"] + weights["b_in"]
    post = F.gelu(pre, approximate="tanh")
    return post @ weights["W_out"] + weights["b_out"]


def block(
    residual: Float[Tensor, "batch seq d_model"], weights: Weights
) -> Float[Tensor, "batch seq d_model"]:
    """Add attention to the residual stream, then the MLP, each reading it through its own norm.

    The names begin with ln1., attn., ln2. and mlp. (GPT-2, section 2.3).
    """
    attn_out = multi_head(layer_norm(residual, under(weights, "ln1.")), under(weights, "attn."))
    resid_mid = residual + attn_out
    mlp_out = mlp(layer_norm(resid_mid, under(weights, "ln2.")), under(weights, "mlp."))
    return resid_mid + mlp_out


def gpt(
    tokens: Int[Tensor, "batch seq"], weights: Weights, n_layers: int
) -> Float[Tensor, "batch seq d_vocab"]:
    """GPT-2: embed tokens and positions, run the blocks, norm, unembed with the transposed W_E.

    The names are embed.W_E [d_vocab d_model], pos_embed.W_pos [n_ctx d_model], blocks.N. for block
    N counted from 0, ln_final.w and ln_final.b.

    Raises ValueError for more tokens than W_pos has rows.
    """
    W_E, W_pos = weights["embed.W_E"], weights["pos_embed.W_pos"]
    seq = tokens.shape[1]
    if seq > len(W_pos):
        raise ValueError(f"{seq} tokens do not fit n_ctx = {len(W_pos)}; keep the last n_ctx")
    residual = W_E[tokens] + W_pos[:seq]
    for number in range(n_layers):
        residual = block(residual, under(weights, f"blocks.{number}."))
    final = layer_norm(residual, under(weights, "ln_final."))
    return final @ W_E.T
