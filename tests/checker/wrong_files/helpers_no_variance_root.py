"""The square root is forgotten.

LayerNorm: layer-norm-no-square-root
"""

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
        mean = x.sum(-1, keepdim=True) / x.shape[-1]
        var = ((x - mean) ** 2).sum(-1, keepdim=True) / x.shape[-1]
        return (x - mean) / (var + self.eps) * self.w + self.b  # <-
