"""The scores are summed over the heads: their letter is missing on the right.

MultiHeadAttention: attention-one-full-width-head-scaled-by-d-head
"""

import einops
import torch as t
import torch.nn as nn


class MultiHeadAttention(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.cfg = cfg
        self.W_Q = nn.Parameter(t.empty((cfg.n_heads, cfg.d_model, cfg.d_head)))
        self.W_K = nn.Parameter(t.empty((cfg.n_heads, cfg.d_model, cfg.d_head)))
        self.W_V = nn.Parameter(t.empty((cfg.n_heads, cfg.d_model, cfg.d_head)))
        self.W_O = nn.Parameter(t.empty((cfg.n_heads, cfg.d_head, cfg.d_model)))
        for w in (self.W_Q, self.W_K, self.W_V):
            nn.init.normal_(w, std=cfg.init_std)
        nn.init.normal_(self.W_O, std=cfg.init_std / (2 * cfg.n_layers) ** 0.5)
        self.b_Q = nn.Parameter(t.zeros((cfg.n_heads, cfg.d_head)))
        self.b_K = nn.Parameter(t.zeros((cfg.n_heads, cfg.d_head)))
        self.b_V = nn.Parameter(t.zeros((cfg.n_heads, cfg.d_head)))
        self.b_O = nn.Parameter(t.zeros(cfg.d_model))
        self.attn_drop = nn.Dropout(cfg.dropout)
        self.resid_drop = nn.Dropout(cfg.dropout)
        self.register_buffer("IGNORE", t.tensor(-1e5), persistent=False)

    def apply_causal_mask(self, attn_scores):
        all_ones = t.ones(attn_scores.size(-2), attn_scores.size(-1), device=attn_scores.device)
        mask = t.triu(all_ones, diagonal=1).bool()
        attn_scores.masked_fill_(mask, self.IGNORE)
        return attn_scores

    def forward(self, x):
        Q = (
            einops.einsum(x, self.W_Q, "batch pos d_model, n d_model d_head -> batch pos n d_head")
            + self.b_Q
        )
        K = (
            einops.einsum(x, self.W_K, "batch pos d_model, n d_model d_head -> batch pos n d_head")
            + self.b_K
        )
        V = (
            einops.einsum(x, self.W_V, "batch pos d_model, n d_model d_head -> batch pos n d_head")
            + self.b_V
        )
        attn_scores = einops.einsum(
            Q, K, "batch pq n d_head, batch pk n d_head -> batch pq pk"
        )  # <-
        scaled_masked = self.apply_causal_mask(attn_scores / self.cfg.d_head**0.5)
        attn_probs = self.attn_drop(t.softmax(scaled_masked, dim=-1))
        z = einops.einsum(attn_probs, V, "batch pq pk, batch pk n d_head -> batch pq n d_head")
        out = einops.einsum(z, self.W_O, "batch pq n d_head, n d_head d_model -> batch pq d_model")
        return self.resid_drop(out + self.b_O)
