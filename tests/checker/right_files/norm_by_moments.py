"""The variance as the mean square minus the squared mean, in float64."""

import math

import torch
from torch import nn


def softmax(x, dim=-1):
    shifted = x - x.amax(dim, keepdim=True)
    exps = torch.exp(shifted)
    return exps / exps.sum(dim, keepdim=True)


def gelu(x):
    return 0.5 * x * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x * x * x)))


def attention(q, k, v, mask, drop):
    d_k = q.shape[-1]
    scores = torch.einsum("bhqd,bhkd->bhqk", q, k) / math.sqrt(d_k)
    scores = torch.where(mask, scores, float("-inf"))
    weights = drop(softmax(scores, dim=-1))
    return torch.einsum("bhqk,bhkd->bhqd", weights, v)


class LayerNorm(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.w = nn.Parameter(torch.ones(config.d_model))
        self.b = nn.Parameter(torch.zeros(config.d_model))
        self.eps = config.layer_norm_eps

    def forward(self, x):
        x64 = x.double()
        mean = x64.mean(-1, keepdim=True)
        var = (x64 * x64).mean(-1, keepdim=True) - mean * mean
        out = (x64 - mean) / torch.sqrt(var + self.eps)
        return out.to(x.dtype) * self.w + self.b
