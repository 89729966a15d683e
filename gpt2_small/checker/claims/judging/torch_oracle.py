"""Compute every module by torch's own operations, from the same parameters and inputs.

This expectation shares no code with the reference.
"""

from types import ModuleType

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from gpt2_small.checker.claims.observing import probes
from gpt2_small.checker.claims.observing.observation import Observation
from gpt2_small.checker.claims.observing.subject import Subject

Parameters = dict[str, Tensor]


def output_by_torch(subject: Subject, _reference: ModuleType, seed: int) -> Observation:
    """The expectation for `modules.outputs` in float32, computed in float64."""
    parameters = parameters_for(subject, seed)
    return {
        name: computed(subject.name, parameters, _double(given)).float()
        for name, given in subject.inputs(seed).items()
    }


def gradients_by_torch(subject: Subject, _reference: ModuleType, seed: int) -> Observation:
    """The expectation for `modules.gradients` in float32, computed in float64."""
    parameters = {n: p.requires_grad_() for n, p in parameters_for(subject, seed).items()}
    given = _double(subject.gradient_input(seed))
    leaves = dict(parameters)
    if given.is_floating_point():
        leaves["the input"] = given.requires_grad_()
    output = computed(subject.name, parameters, given)
    total = (output * probes.weighting(seed, output, subject.output_weight)).sum()
    found = torch.autograd.grad(total, list(leaves.values()))
    return {f"the gradient of {n}": g.float() for n, g in zip(leaves, found, strict=True)}


def parameters_for(subject: Subject, seed: int) -> Parameters:
    """A subject's random parameters in float64."""
    return {
        name: probes.random_parameter(name, shape, seed).float().double()
        for name, shape in subject.contract().items()
    }


def _double(given: Tensor) -> Tensor:
    return given.double() if given.is_floating_point() else given


def computed(part: str, params: Parameters, given: Tensor) -> Tensor:
    """A part's output."""
    match part:
        case "LayerNorm":
            return layer_norm(params, given)
        case "Embedding":
            return F.embedding(given, params["W_E"])
        case "PositionalEmbedding":
            return positions(params, given)
        case "MultiHeadAttention":
            return attention(params, given)
        case "MLP":
            return mlp(params, given)
        case "TransformerBlock":
            return block(params, given)
        case "Unembedding":
            return unembedding(params, given)
        case _:
            return transformer(params, given)


def inside(params: Parameters, prefix: str) -> Parameters:
    """The parameters of the inner part `prefix`, by their names in it."""
    start = prefix + "."
    return {k.removeprefix(start): v for k, v in params.items() if k.startswith(start)}


def layer_norm(params: Parameters, residual: Tensor, eps: float = 1e-5) -> Tensor:
    return F.layer_norm(residual, residual.shape[-1:], params["w"], params["b"], eps)


def positions(params: Parameters, tokens: Tensor) -> Tensor:
    batch, seq = tokens.shape
    return F.embedding(torch.arange(seq).repeat(batch, 1), params["W_pos"])


def project(residual: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Project [batch seq d_model] by [head d_model d_head] to [batch head seq d_head]."""
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


def transformer(params: Parameters, tokens: Tensor) -> Tensor:
    """Logits; tied without `unembed.W_U`."""
    residual = F.embedding(tokens, params["embed.W_E"])
    residual = residual + positions(inside(params, "pos_embed"), tokens)
    n_layers = len({name.split(".")[1] for name in params if name.startswith("blocks.")})
    for layer in range(n_layers):
        residual = block(inside(params, f"blocks.{layer}"), residual)
    final = layer_norm(inside(params, "ln_final"), residual)
    if "unembed.W_U" in params:
        return unembedding(inside(params, "unembed"), final)
    return F.linear(final, params["embed.W_E"])
