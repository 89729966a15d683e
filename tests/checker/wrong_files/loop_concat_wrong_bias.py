"""A loop over heads that adds b_O for each of them.

MultiHeadAttention: attention-b-o-for-every-head
"""

import torch
import torch.nn as nn


class MultiHeadAttention(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.n_heads = cfg.n_heads
        for name in ("W_Q", "W_K", "W_V"):
            weight = torch.empty(cfg.n_heads, cfg.d_model, cfg.d_head).normal_(0, cfg.init_std)
            setattr(self, name, nn.Parameter(weight))
        std = cfg.init_std / (2 * cfg.n_layers) ** 0.5
        self.W_O = nn.Parameter(torch.empty(cfg.n_heads, cfg.d_head, cfg.d_model).normal_(0, std))
        for name in ("b_Q", "b_K", "b_V"):
            setattr(self, name, nn.Parameter(torch.zeros(cfg.n_heads, cfg.d_head)))
        self.b_O = nn.Parameter(torch.zeros(cfg.d_model))
        self.drop1 = nn.Dropout(cfg.dropout)
        self.drop2 = nn.Dropout(cfg.dropout)

    def forward(self, x):
        T = x.shape[1]
        future = torch.triu(torch.ones(T, T, device=x.device), diagonal=1).bool()
        out = 0
        for h in range(self.n_heads):
            q = x @ self.W_Q[h] + self.b_Q[h]
            k = x @ self.W_K[h] + self.b_K[h]
            v = x @ self.W_V[h] + self.b_V[h]
            wei = q @ k.transpose(1, 2) / q.shape[-1] ** 0.5
            wei = wei.masked_fill(future, float("-inf"))
            wei = wei.softmax(dim=-1)
            wei = self.drop1(wei)
            out = out + wei @ v @ self.W_O[h] + self.b_O  # <-
        return self.drop2(out)
