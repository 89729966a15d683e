"""Attention over the full width, as one head, that looks at later positions too.

MultiHeadAttention: attention-one-full-width-head-not-causal; attention-dropout-missing
"""

import math

import torch
from torch import nn


class MultiHeadAttention(nn.Module):
    def __init__(self, config):
        super().__init__()
        heads, width, size = config.n_heads, config.d_model, config.d_head
        small = config.init_std / math.sqrt(2 * config.n_layers)
        self.W_Q = nn.Parameter(torch.randn(heads, width, size) * config.init_std)
        self.W_K = nn.Parameter(torch.randn(heads, width, size) * config.init_std)
        self.W_V = nn.Parameter(torch.randn(heads, width, size) * config.init_std)
        self.W_O = nn.Parameter(torch.randn(heads, size, width) * small)
        self.b_Q = nn.Parameter(torch.zeros(heads, size))
        self.b_K = nn.Parameter(torch.zeros(heads, size))
        self.b_V = nn.Parameter(torch.zeros(heads, size))
        self.b_O = nn.Parameter(torch.zeros(width))

    def wide(self, weights):
        return weights.transpose(0, 1).flatten(1)

    def forward(self, x):
        queries = x @ self.wide(self.W_Q) + self.b_Q.flatten()
        keys = x @ self.wide(self.W_K) + self.b_K.flatten()
        values = x @ self.wide(self.W_V) + self.b_V.flatten()
        scores = torch.bmm(queries, keys.transpose(1, 2))  # <-
        pattern = torch.softmax(scores / math.sqrt(keys.shape[-1]), dim=-1)
        return torch.bmm(pattern, values) @ self.W_O.flatten(0, 1) + self.b_O
