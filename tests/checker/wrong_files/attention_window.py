"""Attention that looks back four positions only.

MultiHeadAttention: unknown
"""

import math

import torch
from torch import nn


class MultiHeadAttention(nn.Module):
    def __init__(self, config):
        super().__init__()
        heads, width, inner = config.n_heads, config.d_model, config.d_head
        std = config.init_std
        self.W_Q = nn.Parameter(torch.randn(heads, width, inner) * std)
        self.W_K = nn.Parameter(torch.randn(heads, width, inner) * std)
        self.W_V = nn.Parameter(torch.randn(heads, width, inner) * std)
        self.W_O = nn.Parameter(
            torch.randn(heads, inner, width) * std / math.sqrt(2 * config.n_layers)
        )
        self.b_Q = nn.Parameter(torch.zeros(heads, inner))
        self.b_K = nn.Parameter(torch.zeros(heads, inner))
        self.b_V = nn.Parameter(torch.zeros(heads, inner))
        self.b_O = nn.Parameter(torch.zeros(width))
        self.attn_dropout = nn.Dropout(config.dropout)
        self.resid_dropout = nn.Dropout(config.dropout)

    def forward(self, x):
        seq = x.shape[1]
        q = torch.einsum("bsm,hmd->bhsd", x, self.W_Q) + self.b_Q[:, None]
        k = torch.einsum("bsm,hmd->bhsd", x, self.W_K) + self.b_K[:, None]
        v = torch.einsum("bsm,hmd->bhsd", x, self.W_V) + self.b_V[:, None]
        seen = torch.ones(seq, seq, device=x.device).tril().triu(-4).bool()  # <-
        scores = (q @ k.mT / math.sqrt(q.shape[-1])).masked_fill(~seen, float("-inf"))
        z = self.attn_dropout(scores.softmax(-1)) @ v
        return self.resid_dropout(torch.einsum("bhsd,hdm->bsm", z, self.W_O) + self.b_O)
