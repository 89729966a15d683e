"""b_O is added before the projection.

MultiHeadAttention: attention-b-o-before-w-o
"""

import math

import torch
import torch.nn as nn
import torch.nn.functional as F


class MultiHeadAttention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.n_head, self.n_embd = config.n_heads, config.d_model
        H, C, D = config.n_heads, config.d_model, config.d_head
        self.W_Q = nn.Parameter(torch.randn(H, C, D) * config.init_std)
        self.W_K = nn.Parameter(torch.randn(H, C, D) * config.init_std)
        self.W_V = nn.Parameter(torch.randn(H, C, D) * config.init_std)
        self.W_O = nn.Parameter(
            torch.randn(H, D, C) * config.init_std / math.sqrt(2 * config.n_layers)
        )
        self.b_Q = nn.Parameter(torch.zeros(H, D))
        self.b_K = nn.Parameter(torch.zeros(H, D))
        self.b_V = nn.Parameter(torch.zeros(H, D))
        self.b_O = nn.Parameter(torch.zeros(C))
        self.attn_dropout = nn.Dropout(config.dropout)
        self.resid_dropout = nn.Dropout(config.dropout)
        self.register_buffer(
            "bias", torch.tril(torch.ones(config.n_ctx, config.n_ctx)), persistent=False
        )

    def forward(self, x):
        B, T, C = x.size()
        # one matrix for the queries, keys and values of all heads
        W = torch.cat([w.transpose(0, 1).reshape(C, C) for w in (self.W_Q, self.W_K, self.W_V)], 1)
        b = torch.cat([self.b_Q.flatten(), self.b_K.flatten(), self.b_V.flatten()])
        q, k, v = (x @ W + b).split(self.n_embd, dim=2)
        q = q.view(B, T, self.n_head, C // self.n_head).transpose(1, 2)  # (B, nh, T, hs)
        k = k.view(B, T, self.n_head, C // self.n_head).transpose(1, 2)
        v = v.view(B, T, self.n_head, C // self.n_head).transpose(1, 2)
        att = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(k.size(-1)))
        att = att.masked_fill(self.bias[:T, :T] == 0, float("-inf"))
        att = F.softmax(att, dim=-1)
        att = self.attn_dropout(att)
        y = att @ v
        y = y.transpose(1, 2).contiguous().view(B, T, C)
        y = (y + self.b_O) @ self.W_O.reshape(C, C)  # <-
        return self.resid_dropout(y)
