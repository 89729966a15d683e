"""x * x instead of x * x * x.

MLP: mlp-gelu-square
"""

import math

import torch
from torch import nn


def softmax(x, dim=-1):
    shifted = x - x.amax(dim, keepdim=True)
    exps = torch.exp(shifted)
    return exps / exps.sum(dim, keepdim=True)


def gelu(x):
    return 0.5 * x * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x * x)))  # <-


def attention(q, k, v, mask, drop):
    d_k = q.shape[-1]
    scores = torch.einsum("bhqd,bhkd->bhqk", q, k) / math.sqrt(d_k)
    scores = torch.where(mask, scores, float("-inf"))
    weights = drop(softmax(scores, dim=-1))
    return torch.einsum("bhqk,bhkd->bhqd", weights, v)


class MLP(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.W_in = nn.Parameter(
            torch.zeros(config.d_model, config.d_mlp).normal_(std=config.init_std)
        )
        self.b_in = nn.Parameter(torch.zeros(config.d_mlp))
        std = config.init_std / math.sqrt(2 * config.n_layers)
        self.W_out = nn.Parameter(torch.zeros(config.d_mlp, config.d_model).normal_(std=std))
        self.b_out = nn.Parameter(torch.zeros(config.d_model))
        self.drop = nn.Dropout(config.dropout)

    def forward(self, x):
        return self.drop(gelu(x @ self.W_in + self.b_in) @ self.W_out + self.b_out)
