"""Softmax, GELU and attention as functions of one's own."""

import math

import torch
from torch import nn


def softmax(x, dim=-1):
    shifted = x - x.amax(dim, keepdim=True)
    exps = torch.exp(shifted)
    return exps / exps.sum(dim, keepdim=True)


def gelu(x):
    return 0.5 * x * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x * x * x)))


def attention(q, k, v, mask, drop):
    d_k = q.shape[-1]
    scores = torch.einsum("bhqd,bhkd->bhqk", q, k) / math.sqrt(d_k)
    scores = torch.where(mask, scores, float("-inf"))
    weights = drop(softmax(scores, dim=-1))
    return torch.einsum("bhqk,bhkd->bhqd", weights, v)


class LayerNorm(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.w = nn.Parameter(torch.ones(config.d_model))
        self.b = nn.Parameter(torch.zeros(config.d_model))
        self.eps = config.layer_norm_eps

    def forward(self, x):
        mean = x.sum(-1, keepdim=True) / x.shape[-1]
        var = ((x - mean) ** 2).sum(-1, keepdim=True) / x.shape[-1]
        return (x - mean) / (var + self.eps) ** 0.5 * self.w + self.b


class MultiHeadAttention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.h = config.n_heads
        for name in "QKV":
            weight = torch.zeros(config.n_heads, config.d_model, config.d_head)
            self.register_parameter(f"W_{name}", nn.Parameter(weight.normal_(std=config.init_std)))
            bias = nn.Parameter(torch.zeros(config.n_heads, config.d_head))
            self.register_parameter(f"b_{name}", bias)
        weight = torch.zeros(config.n_heads, config.d_head, config.d_model)
        std = config.init_std / math.sqrt(2 * config.n_layers)
        self.W_O = nn.Parameter(weight.normal_(std=std))
        self.b_O = nn.Parameter(torch.zeros(config.d_model))
        self.drop_att, self.drop_out = nn.Dropout(config.dropout), nn.Dropout(config.dropout)

    def forward(self, x):
        T = x.shape[1]
        x = x[:, None]
        q = x @ self.W_Q + self.b_Q[:, None]
        k = x @ self.W_K + self.b_K[:, None]
        v = x @ self.W_V + self.b_V[:, None]
        mask = torch.tril(torch.ones(T, T, dtype=torch.bool, device=x.device))
        out = attention(q, k, v, mask, self.drop_att)
        out = (out @ self.W_O).sum(1) + self.b_O
        return self.drop_out(out)


class MLP(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.W_in = nn.Parameter(
            torch.zeros(config.d_model, config.d_mlp).normal_(std=config.init_std)
        )
        self.b_in = nn.Parameter(torch.zeros(config.d_mlp))
        std = config.init_std / math.sqrt(2 * config.n_layers)
        self.W_out = nn.Parameter(torch.zeros(config.d_mlp, config.d_model).normal_(std=std))
        self.b_out = nn.Parameter(torch.zeros(config.d_model))
        self.drop = nn.Dropout(config.dropout)

    def forward(self, x):
        return self.drop(gelu(x @ self.W_in + self.b_in) @ self.W_out + self.b_out)


class TransformerBlock(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.ln1, self.ln2 = LayerNorm(config), LayerNorm(config)
        self.attn = MultiHeadAttention(config)
        self.mlp = MLP(config)

    def forward(self, x):
        x = x + self.attn(self.ln1(x))
        return x + self.mlp(self.ln2(x))


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
