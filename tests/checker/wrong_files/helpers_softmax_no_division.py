"""The softmax of one's own does not divide.

MultiHeadAttention: attention-exponentials-shifted-not-divided
"""

import math

import torch
from torch import nn


def softmax(x, dim=-1):
    shifted = x - x.amax(dim, keepdim=True)
    return torch.exp(shifted)  # <-


def gelu(x):
    return 0.5 * x * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x * x * x)))


def attention(q, k, v, mask, drop):
    d_k = q.shape[-1]
    scores = torch.einsum("bhqd,bhkd->bhqk", q, k) / math.sqrt(d_k)
    scores = torch.where(mask, scores, float("-inf"))
    weights = drop(softmax(scores, dim=-1))
    return torch.einsum("bhqk,bhkd->bhqd", weights, v)


class MultiHeadAttention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.h = config.n_heads
        for name in "QKV":
            weight = torch.zeros(config.n_heads, config.d_model, config.d_head)
            self.register_parameter(f"W_{name}", nn.Parameter(weight.normal_(std=config.init_std)))
            bias = nn.Parameter(torch.zeros(config.n_heads, config.d_head))
            self.register_parameter(f"b_{name}", bias)
        weight = torch.zeros(config.n_heads, config.d_head, config.d_model)
        std = config.init_std / math.sqrt(2 * config.n_layers)
        self.W_O = nn.Parameter(weight.normal_(std=std))
        self.b_O = nn.Parameter(torch.zeros(config.d_model))
        self.drop_att, self.drop_out = nn.Dropout(config.dropout), nn.Dropout(config.dropout)

    def forward(self, x):
        T = x.shape[1]
        x = x[:, None]
        q = x @ self.W_Q + self.b_Q[:, None]
        k = x @ self.W_K + self.b_K[:, None]
        v = x @ self.W_V + self.b_V[:, None]
        mask = torch.tril(torch.ones(T, T, dtype=torch.bool, device=x.device))
        out = attention(q, k, v, mask, self.drop_att)
        out = (out @ self.W_O).sum(1) + self.b_O
        return self.drop_out(out)
