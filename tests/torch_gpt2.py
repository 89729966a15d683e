"""GPT-2 from torch's own operations, on parameters given by name: what tests compare with."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

Parameters = dict[str, Tensor]


def inside(params: Parameters, prefix: str) -> Parameters:
    """The parameters of the part called prefix, under the names they have inside it."""
    start = prefix + "."
    return {k.removeprefix(start): v for k, v in params.items() if k.startswith(start)}


def layer_norm(params: Parameters, residual: Tensor, eps: float = 1e-5) -> Tensor:
    return F.layer_norm(residual, residual.shape[-1:], params["w"], params["b"], eps)


def project(residual: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """[batch seq d_model] through [head d_model d_head] to [batch head seq d_head]."""
    return residual.unsqueeze(1) @ weight + bias.unsqueeze(1)


def attention(params: Parameters, residual: Tensor) -> Tensor:
    query, key, value = (
        project(residual, params[f"W_{x}"], params[f"b_{x}"]) for x in ("Q", "K", "V")
    )
    # The fused kernel's backward pass leaves rounding errors where the true gradient is 0.
    with sdpa_kernel(SDPBackend.MATH):
        z = F.scaled_dot_product_attention(query, key, value, is_causal=True)
    return F.linear(z.transpose(1, 2).flatten(2), params["W_O"].flatten(0, 1).T, params["b_O"])


def mlp(params: Parameters, residual: Tensor) -> Tensor:
    hidden = F.gelu(F.linear(residual, params["W_in"].T, params["b_in"]), approximate="tanh")
    return F.linear(hidden, params["W_out"].T, params["b_out"])


def block(params: Parameters, residual: Tensor) -> Tensor:
    middle = residual + attention(
        inside(params, "attn"), layer_norm(inside(params, "ln1"), residual)
    )
    return middle + mlp(inside(params, "mlp"), layer_norm(inside(params, "ln2"), middle))


def unembedding(params: Parameters, residual: Tensor) -> Tensor:
    return F.linear(residual, params["W_U"].T, params["b_U"])


def transformer(params: Parameters, tokens: Tensor, n_layers: int) -> Tensor:
    """Logits; tied when there is no `unembed.W_U`."""
    positions = torch.arange(tokens.shape[1])
    residual = F.embedding(tokens, params["embed.W_E"])
    residual = residual + F.embedding(positions, params["pos_embed.W_pos"])
    for layer in range(n_layers):
        residual = block(inside(params, f"blocks.{layer}"), residual)
    final = layer_norm(inside(params, "ln_final"), residual)
    if "unembed.W_U" in params:
        return unembedding(inside(params, "unembed"), final)
    return F.linear(final, params["embed.W_E"])
