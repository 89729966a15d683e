"""As in a course with einops: a method for the mask, an IGNORE buffer of minus infinity."""

import einops
import torch
from torch import nn


class LayerNorm(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.cfg = cfg
        self.w = nn.Parameter(torch.ones(cfg.d_model))
        self.b = nn.Parameter(torch.zeros(cfg.d_model))

    def forward(self, residual):
        residual_mean = residual.mean(dim=-1, keepdim=True)
        residual_std = (
            residual.var(dim=-1, keepdim=True, unbiased=False) + self.cfg.layer_norm_eps
        ).sqrt()
        residual = (residual - residual_mean) / residual_std
        return residual * self.w + self.b


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
        self.register_buffer("IGNORE", torch.tensor(float("-inf")), persistent=False)

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
        attn_scores = einops.einsum(q, k, "b pq h d_head, b pk h d_head -> b h pq pk")
        attn_scores_masked = self.apply_causal_mask(attn_scores / self.cfg.d_head**0.5)
        attn_pattern = attn_scores_masked.softmax(-1)
        attn_pattern = self.attn_drop(attn_pattern)
        z = einops.einsum(v, attn_pattern, "b pk h d_head, b h pq pk -> b pq h d_head")
        attn_out = (
            einops.einsum(z, self.W_O, "b pq h d_head, h d_head d_model -> b pq d_model") + self.b_O
        )
        return self.out_drop(attn_out)

    def apply_causal_mask(self, attn_scores):
        all_ones = torch.ones(attn_scores.size(-2), attn_scores.size(-1), device=attn_scores.device)
        mask = torch.triu(all_ones, diagonal=1).bool()
        attn_scores.masked_fill_(mask, self.IGNORE)
        return attn_scores


class MLP(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.cfg = cfg
        self.W_in = nn.Parameter(torch.empty((cfg.d_model, cfg.d_mlp)))
        self.W_out = nn.Parameter(torch.empty((cfg.d_mlp, cfg.d_model)))
        self.b_in = nn.Parameter(torch.zeros(cfg.d_mlp))
        self.b_out = nn.Parameter(torch.zeros(cfg.d_model))
        nn.init.normal_(self.W_in, std=self.cfg.init_std)
        nn.init.normal_(self.W_out, std=self.cfg.init_std / (2 * cfg.n_layers) ** 0.5)
        self.drop = nn.Dropout(cfg.dropout)

    def forward(self, normalized_resid_mid):
        pre = (
            einops.einsum(
                normalized_resid_mid, self.W_in, "b p d_model, d_model d_mlp -> b p d_mlp"
            )
            + self.b_in
        )
        post = nn.functional.gelu(pre, approximate="tanh")
        mlp_out = (
            einops.einsum(post, self.W_out, "b p d_mlp, d_mlp d_model -> b p d_model") + self.b_out
        )
        return self.drop(mlp_out)


class TransformerBlock(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.ln1 = LayerNorm(cfg)
        self.attn = MultiHeadAttention(cfg)
        self.ln2 = LayerNorm(cfg)
        self.mlp = MLP(cfg)

    def forward(self, resid_pre):
        resid_mid = self.attn(self.ln1(resid_pre)) + resid_pre
        resid_post = self.mlp(self.ln2(resid_mid)) + resid_mid
        return resid_post


class Embedding(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.W_E = nn.Parameter(torch.randn(config.d_vocab, config.d_model) * config.init_std)

    def forward(self, idx):
        return self.W_E[idx]


class PositionalEmbedding(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.W_pos = nn.Parameter(torch.randn(config.n_ctx, config.d_model) * config.init_std)

    def forward(self, idx):
        B, T = idx.size()
        if len(self.W_pos) < T:
            raise ValueError(f"cannot forward sequence of length {T}")
        pos = torch.arange(T, device=idx.device)
        return self.W_pos[pos].expand(B, -1, -1)


class Unembedding(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.W_U = nn.Parameter(torch.randn(config.d_model, config.d_vocab) * config.init_std)
        self.b_U = nn.Parameter(torch.zeros(config.d_vocab))

    def forward(self, x):
        return x @ self.W_U + self.b_U


class Transformer(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.embed = Embedding(config)
        self.pos_embed = PositionalEmbedding(config)
        self.drop = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList([TransformerBlock(config) for _ in range(config.n_layers)])
        self.ln_final = LayerNorm(config)
        self.unembed = None if config.tied_embeddings else Unembedding(config)

    def forward(self, idx):
        x = self.drop(self.embed(idx) + self.pos_embed(idx))
        for block in self.blocks:
            x = block(x)
        x = self.ln_final(x)
        if self.unembed is None:
            return x @ self.embed.W_E.T
        return self.unembed(x)
