"""Heads side by side: neither W_O nor b_O is used, and dropout is forgotten.

MultiHeadAttention: attention-output-projection-missing; attention-dropout-missing
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

    def forward(self, x):
        length = x.shape[1]
        queries = torch.einsum("btw,hws->bhts", x, self.W_Q) + self.b_Q[:, None]
        keys = torch.einsum("btw,hws->bhts", x, self.W_K) + self.b_K[:, None]
        values = torch.einsum("btw,hws->bhts", x, self.W_V) + self.b_V[:, None]
        scores = queries @ keys.mT / math.sqrt(queries.shape[-1])
        future = torch.ones(length, length, dtype=torch.bool, device=x.device).triu(1)
        pattern = scores.masked_fill(future, -torch.inf).softmax(-1)
        together = (pattern @ values).transpose(1, 2).reshape(x.shape)
        return together  # <-
