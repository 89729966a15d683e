"""The keys of the pattern and of the values have different letters.

MultiHeadAttention: attention-values-unlinked
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
        q = einops.einsum(x, self.W_Q, "b s e, n e h -> b s n h") + self.b_Q
        k = einops.einsum(x, self.W_K, "b s e, n e h -> b s n h") + self.b_K
        v = einops.einsum(x, self.W_V, "b s e, n e h -> b s n h") + self.b_V
        attn_scores = einops.einsum(q, k, "b s1 n h, b s2 n h -> b n s1 s2")
        attn_scores /= self.cfg.d_head**0.5
        attn_probs = self.attn_drop(self.apply_causal_mask(attn_scores).softmax(dim=-1))
        z = einops.einsum(attn_probs, v, "b n sq sk, b sv n h -> b sq n h")  # <-
        result = einops.einsum(z, self.W_O, "b s n h, n h e -> b s n e")
        return self.resid_drop(einops.reduce(result, "b s n e -> b s e", "sum") + self.b_O)
