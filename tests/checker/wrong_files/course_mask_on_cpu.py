"""The mask is made without a device, and the scale is forgotten.

MultiHeadAttention: attention-scale-missing; attention-mask-on-cpu
"""

import einops
import torch
from torch import nn


class MultiHeadAttention(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.cfg = cfg
        self.W_Q = nn.Parameter(torch.empty((cfg.n_heads, cfg.d_model, cfg.d_head)))
        self.W_K = nn.Parameter(torch.empty((cfg.n_heads, cfg.d_model, cfg.d_head)))
        self.W_V = nn.Parameter(torch.empty((cfg.n_heads, cfg.d_model, cfg.d_head)))
        self.W_O = nn.Parameter(torch.empty((cfg.n_heads, cfg.d_head, cfg.d_model)))
        self.b_Q = nn.Parameter(torch.zeros((cfg.n_heads, cfg.d_head)))
        self.b_K = nn.Parameter(torch.zeros((cfg.n_heads, cfg.d_head)))
        self.b_V = nn.Parameter(torch.zeros((cfg.n_heads, cfg.d_head)))
        self.b_O = nn.Parameter(torch.zeros(cfg.d_model))
        nn.init.normal_(self.W_Q, std=self.cfg.init_std)
        nn.init.normal_(self.W_K, std=self.cfg.init_std)
        nn.init.normal_(self.W_V, std=self.cfg.init_std)
        nn.init.normal_(self.W_O, std=self.cfg.init_std / (2 * cfg.n_layers) ** 0.5)
        self.attn_drop, self.out_drop = nn.Dropout(cfg.dropout), nn.Dropout(cfg.dropout)
        self.ignore = -torch.inf

    def forward(self, normalized_resid_pre):
        q = (
            einops.einsum(
                normalized_resid_pre, self.W_Q, "b p d_model, h d_model d_head -> b p h d_head"
            )
            + self.b_Q
        )
        k = (
            einops.einsum(
                normalized_resid_pre, self.W_K, "b p d_model, h d_model d_head -> b p h d_head"
            )
            + self.b_K
        )
        v = (
            einops.einsum(
                normalized_resid_pre, self.W_V, "b p d_model, h d_model d_head -> b p h d_head"
            )
            + self.b_V
        )
        attn_scores = einops.einsum(q, k, "b pq h d_head, b pk h d_head -> b h pq pk")  # <-
        attn_scores_masked = self.apply_causal_mask(attn_scores)
        attn_pattern = attn_scores_masked.softmax(-1)
        attn_pattern = self.attn_drop(attn_pattern)
        z = einops.einsum(v, attn_pattern, "b pk h d_head, b h pq pk -> b pq h d_head")
        attn_out = (
            einops.einsum(z, self.W_O, "b pq h d_head, h d_head d_model -> b pq d_model") + self.b_O
        )
        return self.out_drop(attn_out)

    def apply_causal_mask(self, attn_scores):
        all_ones = torch.ones(attn_scores.size(-2), attn_scores.size(-1))
        mask = torch.triu(all_ones, diagonal=1).bool()
        return attn_scores.masked_fill(mask, self.ignore)
