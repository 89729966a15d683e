"""No mask is handed on, so none is used.

MultiHeadAttention: attention-mask-missing
"""

import math

import torch
from torch import nn


class MultiHeadAttention(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.n_head = cfg.n_heads
        for name in ("W_Q", "W_K", "W_V"):
            p = nn.Parameter(torch.empty(cfg.n_heads, cfg.d_model, cfg.d_head))
            nn.init.normal_(p, 0.0, cfg.init_std)
            self.register_parameter(name, p)
        self.W_O = nn.Parameter(torch.empty(cfg.n_heads, cfg.d_head, cfg.d_model))
        nn.init.normal_(self.W_O, 0.0, cfg.init_std / math.sqrt(2.0 * cfg.n_layers))
        for name in ("b_Q", "b_K", "b_V"):
            self.register_parameter(name, nn.Parameter(torch.zeros(cfg.n_heads, cfg.d_head)))
        self.b_O = nn.Parameter(torch.zeros(cfg.d_model))
        self.drop_p = nn.Dropout(cfg.dropout)
        self.drop_o = nn.Dropout(cfg.dropout)

    def linear(self, x, w, b):
        return torch.einsum("btc,hcd->bhtd", x, w) + b[None, :, None, :]

    def attention(self, q, k, v, mask=None):
        score = (q @ k.transpose(2, 3)) / math.sqrt(q.size(-1))
        if mask is not None:
            score = score.masked_fill(mask == 0, -10000.0)
        return self.drop_p(torch.softmax(score, dim=-1)) @ v

    def forward(self, x):
        q = self.linear(x, self.W_Q, self.b_Q)
        k = self.linear(x, self.W_K, self.b_K)
        v = self.linear(x, self.W_V, self.b_V)
        out = self.attention(q, k, v)  # <-
        return self.drop_o(torch.einsum("bhtd,hdc->btc", out, self.W_O) + self.b_O)
