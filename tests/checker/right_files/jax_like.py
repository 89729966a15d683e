"""Pure functions of a dictionary of arrays; the modules only hold the arrays."""

import functools
import math

import torch
from torch import nn


def layer_norm(params, x, eps):
    mu = x.mean(-1, keepdim=True)
    var = torch.mean(torch.square(x - mu), -1, keepdim=True)
    return (x - mu) * torch.rsqrt(var + eps) * params["w"] + params["b"]


def gelu(x):
    cdf = 0.5 * (1.0 + torch.tanh((2 / torch.pi) ** 0.5 * (x + 0.044715 * x**3)))
    return x * cdf


def head(x, mask, w_q, w_k, w_v, b_q, b_k, b_v, dropout):
    q, k, v = x @ w_q + b_q, x @ w_k + b_k, x @ w_v + b_v
    logits = (q / q.shape[-1] ** 0.5) @ k.mT + mask
    return dropout(torch.softmax(logits, -1)) @ v


def attention(params, x, dropout):
    seq = x.shape[1]
    lower = torch.tril(torch.ones(seq, seq, dtype=x.dtype, device=x.device))
    mask = (1 - lower) * -1e10
    names = ("W_Q", "W_K", "W_V", "b_Q", "b_K", "b_V")
    heads = zip(*(params[name] for name in names), params["W_O"], strict=True)
    outputs = [head(x, mask, *weights[:-1], dropout) @ weights[-1] for weights in heads]
    return dropout(functools.reduce(torch.add, outputs) + params["b_O"])


def drop(x, rate, on):
    if not on or rate == 0:
        return x
    keep = 1 - rate
    return torch.where(torch.rand_like(x) < keep, x / keep, torch.zeros_like(x))


class Held(nn.Module):
    """Parameters by name, from a table of (shape, standard deviation, mean)."""

    def __init__(self, config, table):
        super().__init__()
        self.config = config
        for name, (shape, std, mean) in table.items():
            self.register_parameter(name, nn.Parameter(mean + std * torch.randn(shape)))

    def params(self):
        return dict(self.named_parameters())

    def dropout(self, x):
        return drop(x, self.config.dropout, self.training)


class LayerNorm(Held):
    def __init__(self, config):
        super().__init__(config, {"w": ((config.d_model,), 0, 1), "b": ((config.d_model,), 0, 0)})

    def forward(self, x):
        return layer_norm(self.params(), x, self.config.layer_norm_eps)


class MultiHeadAttention(Held):
    def __init__(self, config):
        h, m, d, std = config.n_heads, config.d_model, config.d_head, config.init_std
        table = {f"W_{n}": ((h, m, d), std, 0) for n in "QKV"}
        table |= {f"b_{n}": ((h, d), 0, 0) for n in "QKV"}
        table |= {"W_O": ((h, d, m), std / math.sqrt(2 * config.n_layers), 0), "b_O": ((m,), 0, 0)}
        super().__init__(config, table)

    def forward(self, x):
        return attention(self.params(), x, self.dropout)


class MLP(Held):
    def __init__(self, config):
        m, n, std = config.d_model, config.d_mlp, config.init_std
        table = {"W_in": ((m, n), std, 0), "b_in": ((n,), 0, 0)}
        table |= {"W_out": ((n, m), std / math.sqrt(2 * config.n_layers), 0), "b_out": ((m,), 0, 0)}
        super().__init__(config, table)

    def forward(self, x):
        p = self.params()
        return self.dropout(gelu(x @ p["W_in"] + p["b_in"]) @ p["W_out"] + p["b_out"])


class TransformerBlock(nn.Module):
    def __init__(self, config):
        super().__init__()
        for name, part in [("ln1", LayerNorm), ("attn", MultiHeadAttention)]:
            self.add_module(name, part(config))
        for name, part in [("ln2", LayerNorm), ("mlp", MLP)]:
            self.add_module(name, part(config))

    def forward(self, x):
        branches = (
            lambda y: self.attn(self.ln1(y)),
            lambda y: self.mlp(self.ln2(y)),
        )
        return functools.reduce(lambda y, branch: y + branch(y), branches, x)


def next_token_loss(logits, tokens):
    if tokens.shape[1] - logits.shape[1] not in (0, 1) or tokens[:, 1:].numel() == 0:
        raise ValueError(f"{tuple(tokens.shape)} tokens for {tuple(logits.shape)} logits")
    targets = tokens[:, 1:]
    logits = logits[:, : targets.shape[1]]
    one_hot = nn.functional.one_hot(targets, logits.shape[-1]).to(logits.dtype)
    return -torch.mean(torch.sum(one_hot * torch.log_softmax(logits, -1), -1))


def sample(logits, *, temperature=1.0, top_k=None, top_p=None, generator=None):
    """The Gumbel maximum."""
    if temperature < 0 or (top_k is not None and top_k < 1):
        raise ValueError(f"temperature {temperature}, top_k {top_k}")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p {top_p}")
    if temperature == 0:
        return logits.argmax(-1)
    order = logits.argsort(-1, descending=True)
    z = torch.take_along_dim(logits.double(), order, -1) / temperature
    rank = torch.arange(z.shape[-1], device=z.device)
    if top_k is not None:
        z = torch.where(rank < top_k, z, -torch.inf)
    if top_p is not None:
        p = z.softmax(-1)
        z = torch.where(p.cumsum(-1) - p < top_p, z, -torch.inf)
    uniform = torch.rand(z.shape, generator=generator, dtype=z.dtype, device=z.device)
    gumbel = -torch.log(-torch.log(uniform.clamp(min=1e-300)))
    return torch.take_along_dim(order, (z + gumbel).argmax(-1, keepdim=True), -1).squeeze(-1)
