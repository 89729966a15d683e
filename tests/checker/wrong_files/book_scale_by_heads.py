"""Divides by the square root of the number of heads; no dropout; W_O drawn like the rest.

MultiHeadAttention: attention-scale-heads; attention-dropout-missing; attention-w-o-init-like-the-rest
"""

import torch
import torch.nn as nn


class MultiHeadAttention(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.d_out, self.num_heads, self.head_dim = cfg.d_model, cfg.n_heads, cfg.d_head

        def weight(*shape, std=cfg.init_std):
            return nn.Parameter(nn.init.normal_(torch.empty(*shape), 0.0, std))

        self.W_Q = weight(cfg.n_heads, cfg.d_model, cfg.d_head)
        self.W_K = weight(cfg.n_heads, cfg.d_model, cfg.d_head)
        self.W_V = weight(cfg.n_heads, cfg.d_model, cfg.d_head)
        out_std = cfg.init_std
        self.W_O = weight(cfg.n_heads, cfg.d_head, cfg.d_model, std=out_std)
        self.b_Q = nn.Parameter(torch.zeros(cfg.n_heads, cfg.d_head))
        self.b_K = nn.Parameter(torch.zeros(cfg.n_heads, cfg.d_head))
        self.b_V = nn.Parameter(torch.zeros(cfg.n_heads, cfg.d_head))
        self.b_O = nn.Parameter(torch.zeros(cfg.d_model))
        mask = torch.triu(torch.ones(cfg.n_ctx, cfg.n_ctx), diagonal=1)
        self.register_buffer("mask", mask, persistent=False)

    def project(self, x, W, b):
        return x @ W.permute(1, 0, 2).flatten(1) + b.flatten()

    def forward(self, x):
        b, num_tokens, d_in = x.shape

        keys = self.project(x, self.W_K, self.b_K)
        queries = self.project(x, self.W_Q, self.b_Q)
        values = self.project(x, self.W_V, self.b_V)

        keys = keys.view(b, num_tokens, self.num_heads, self.head_dim)
        values = values.view(b, num_tokens, self.num_heads, self.head_dim)
        queries = queries.view(b, num_tokens, self.num_heads, self.head_dim)
        keys = keys.transpose(1, 2)
        queries = queries.transpose(1, 2)
        values = values.transpose(1, 2)

        attn_scores = queries @ keys.transpose(2, 3)

        mask_bool = self.mask.bool()[:num_tokens, :num_tokens]
        attn_scores.masked_fill_(mask_bool, -torch.inf)

        attn_weights = torch.softmax(attn_scores / self.num_heads**0.5, dim=-1)  # <-

        context_vec = (attn_weights @ values).transpose(1, 2)
        context_vec = context_vec.contiguous().view(b, num_tokens, self.d_out)
        context_vec = context_vec @ self.W_O.flatten(0, 1) + self.b_O
        return context_vec
