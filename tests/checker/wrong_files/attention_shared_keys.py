"""Attention whose heads all use the keys of the first.

MultiHeadAttention: attention-keys-of-first-head
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
        k = x @ self.W_K[0] + self.b_K[0]  # <-
        v = torch.einsum("bsm,hmd->bhsd", x, self.W_V) + self.b_V[:, None]
        later = torch.ones(seq, seq, device=x.device).triu(1).bool()
        scores = torch.einsum("bhqd,bkd->bhqk", q, k) / math.sqrt(q.shape[-1])
        pattern = scores.masked_fill(later, float("-inf")).softmax(-1)
        z = self.attn_dropout(pattern) @ v
        return self.resid_dropout(torch.einsum("bhsd,hdm->bsm", z, self.W_O) + self.b_O)
