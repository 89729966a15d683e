"""An additive mask is used as one of ones and zeros: -1e9 swamps the scores.

MultiHeadAttention: unknown
"""

import math

import torch
import torch.nn as nn
from torch.nn import functional as F


class MultiHeadAttention(nn.Module):
    """Several heads side by side, one after the other."""

    def __init__(self, config):
        super().__init__()
        nh, C, hs = config.n_heads, config.d_model, config.d_head
        self.n_head = nh
        self.W_Q = nn.Parameter(torch.empty(nh, C, hs).normal_(std=config.init_std))
        self.W_K = nn.Parameter(torch.empty(nh, C, hs).normal_(std=config.init_std))
        self.W_V = nn.Parameter(torch.empty(nh, C, hs).normal_(std=config.init_std))
        self.W_O = nn.Parameter(
            torch.empty(nh, hs, C).normal_(std=config.init_std / math.sqrt(2 * config.n_layers))
        )
        self.b_Q = nn.Parameter(torch.zeros(nh, hs))
        self.b_K = nn.Parameter(torch.zeros(nh, hs))
        self.b_V = nn.Parameter(torch.zeros(nh, hs))
        self.b_O = nn.Parameter(torch.zeros(C))
        self.attn_dropout = nn.Dropout(config.dropout)
        self.proj_dropout = nn.Dropout(config.dropout)
        tril = torch.tril(torch.ones(config.n_ctx, config.n_ctx))
        self.register_buffer("tril", tril, persistent=False)

    def head(self, x, i):
        B, T, C = x.shape
        k = x @ self.W_K[i] + self.b_K[i]
        q = x @ self.W_Q[i] + self.b_Q[i]
        wei = q @ k.transpose(-2, -1) * k.shape[-1] ** -0.5
        mask = torch.triu(torch.full((T, T), float("-inf"), device=x.device), diagonal=1)
        wei = wei + (1 - mask) * -1e9  # <-
        wei = F.softmax(wei, dim=-1)
        wei = self.attn_dropout(wei)
        v = x @ self.W_V[i] + self.b_V[i]
        return wei @ v

    def forward(self, x):
        B, T, C = x.shape
        out = torch.cat([self.head(x, i) for i in range(self.n_head)], dim=-1)
        out = out @ self.W_O.reshape(C, C) + self.b_O
        return self.proj_dropout(out)
