"""Attention that adds b_O to every head before they are added up.

MultiHeadAttention: attention-b-o-for-every-head
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
        x = x.unsqueeze(1)
        q, k, v = (
            x @ W + b.unsqueeze(1)
            for W, b in ((self.W_Q, self.b_Q), (self.W_K, self.b_K), (self.W_V, self.b_V))
        )
        scores = q @ k.mT / math.sqrt(q.shape[-1])
        later = torch.ones(seq, seq, device=x.device, dtype=torch.bool).triu(1)
        pattern = scores.masked_fill(later, -torch.inf).softmax(dim=-1)
        heads = self.attn_dropout(pattern) @ v @ self.W_O + self.b_O  # <-
        return self.resid_dropout(heads.sum(dim=1))
