"""The packed product is taken apart in another order.

MultiHeadAttention: attention-query-key-swapped
"""

import math

import torch
from torch import nn


class MultiHeadAttention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.n_head, self.split_size = config.n_heads, config.d_model
        nh, nx, hd = config.n_heads, config.d_model, config.d_head
        std = config.init_std
        self.W_Q = nn.Parameter(std * torch.randn(nh, nx, hd))
        self.W_K = nn.Parameter(std * torch.randn(nh, nx, hd))
        self.W_V = nn.Parameter(std * torch.randn(nh, nx, hd))
        self.W_O = nn.Parameter(std / math.sqrt(2 * config.n_layers) * torch.randn(nh, hd, nx))
        self.b_Q = nn.Parameter(torch.zeros(nh, hd))
        self.b_K = nn.Parameter(torch.zeros(nh, hd))
        self.b_V = nn.Parameter(torch.zeros(nh, hd))
        self.b_O = nn.Parameter(torch.zeros(nx))
        self.attn_dropout = nn.Dropout(config.dropout)
        self.resid_dropout = nn.Dropout(config.dropout)
        tril = torch.tril(torch.ones(config.n_ctx, config.n_ctx)).view(
            1, 1, config.n_ctx, config.n_ctx
        )
        self.register_buffer("bias", tril, persistent=False)

    def c_attn(self, x):
        weight = torch.cat(
            [w.transpose(0, 1).flatten(1) for w in (self.W_Q, self.W_K, self.W_V)], dim=1
        )
        bias = torch.cat([b.flatten() for b in (self.b_Q, self.b_K, self.b_V)])
        return torch.addmm(bias, x.view(-1, x.size(-1)), weight).view(*x.size()[:-1], -1)

    def c_proj(self, x):
        return x @ self.W_O.flatten(0, 1) + self.b_O

    def _attn(self, q, k, v):
        w = torch.matmul(q, k)
        w = w / math.sqrt(v.size(-1))
        nd, ns = w.size(-2), w.size(-1)
        b = self.bias[:, :, ns - nd : ns, :ns]
        w = w * b - 1e4 * (1 - b)
        w = nn.Softmax(dim=-1)(w)
        w = self.attn_dropout(w)
        return torch.matmul(w, v)

    def split_heads(self, x, k=False):
        x = x.view(*x.size()[:-1], self.n_head, x.size(-1) // self.n_head)
        return x.permute(0, 2, 3, 1) if k else x.permute(0, 2, 1, 3)

    def merge_heads(self, x):
        x = x.permute(0, 2, 1, 3).contiguous()
        return x.view(*x.size()[:-2], x.size(-2) * x.size(-1))

    def forward(self, x):
        key, query, value = self.c_attn(x).split(self.split_size, dim=2)  # <-
        a = self._attn(
            self.split_heads(query), self.split_heads(key, k=True), self.split_heads(value)
        )
        return self.resid_dropout(self.c_proj(self.merge_heads(a)))
