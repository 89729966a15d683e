"""A loop over the heads that adds up what each of them writes."""

import math

import torch
import torch.nn as nn
import torch.nn.functional as F


class LayerNorm(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.cfg = cfg
        self.w = nn.Parameter(torch.ones(cfg.d_model))
        self.b = nn.Parameter(torch.zeros(cfg.d_model))

    def forward(self, residual):
        mu = residual.mean(dim=-1, keepdim=True)
        centered = residual - mu
        sigma2 = centered.pow(2).mean(dim=-1, keepdim=True)
        normed = centered * torch.rsqrt(sigma2 + self.cfg.layer_norm_eps)
        out = normed * self.w + self.b
        return out


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
            out = out + wei @ v @ self.W_O[h]
        return self.drop2(out + self.b_O)


class MLP(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.W_in = nn.Parameter(torch.empty(cfg.d_model, cfg.d_mlp).normal_(0, cfg.init_std))
        self.b_in = nn.Parameter(torch.zeros(cfg.d_mlp))
        std = cfg.init_std / (2 * cfg.n_layers) ** 0.5
        self.W_out = nn.Parameter(torch.empty(cfg.d_mlp, cfg.d_model).normal_(0, std))
        self.b_out = nn.Parameter(torch.zeros(cfg.d_model))
        self.p = cfg.dropout

    def act(self, x):
        cubic = x + 0.044715 * torch.pow(x, 3)
        return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * cubic))

    def forward(self, x):
        hidden = self.act(x @ self.W_in + self.b_in)
        out = hidden @ self.W_out + self.b_out
        return F.dropout(out, self.p, training=self.training)


class TransformerBlock(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.ln1, self.ln2 = LayerNorm(cfg), LayerNorm(cfg)
        self.attn, self.mlp = MultiHeadAttention(cfg), MLP(cfg)

    def forward(self, residual):
        normed = self.ln1(residual)
        after_attn = residual + self.attn(normed)
        normed = self.ln2(after_attn)
        return after_attn + self.mlp(normed)


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
