"""A head whose weight is the token embedding itself."""

import math

import torch
import torch.nn as nn
import torch.nn.functional as F


class LayerNorm(nn.Module):
    """LayerNorm with gain and bias"""

    def __init__(self, config):
        super().__init__()
        self.w = nn.Parameter(torch.ones(config.d_model))
        self.b = nn.Parameter(torch.zeros(config.d_model))
        self.eps = config.layer_norm_eps

    def forward(self, x):
        mean = x.mean(-1, keepdim=True)
        var = x.var(-1, keepdim=True, unbiased=False)
        xhat = (x - mean) / torch.sqrt(var + self.eps)
        return self.w * xhat + self.b


class MultiHeadAttention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.n_head, self.n_embd = config.n_heads, config.d_model
        H, C, D = config.n_heads, config.d_model, config.d_head
        self.W_Q = nn.Parameter(torch.randn(H, C, D) * config.init_std)
        self.W_K = nn.Parameter(torch.randn(H, C, D) * config.init_std)
        self.W_V = nn.Parameter(torch.randn(H, C, D) * config.init_std)
        self.W_O = nn.Parameter(
            torch.randn(H, D, C) * config.init_std / math.sqrt(2 * config.n_layers)
        )
        self.b_Q = nn.Parameter(torch.zeros(H, D))
        self.b_K = nn.Parameter(torch.zeros(H, D))
        self.b_V = nn.Parameter(torch.zeros(H, D))
        self.b_O = nn.Parameter(torch.zeros(C))
        self.attn_dropout = nn.Dropout(config.dropout)
        self.resid_dropout = nn.Dropout(config.dropout)
        self.register_buffer(
            "bias", torch.tril(torch.ones(config.n_ctx, config.n_ctx)), persistent=False
        )

    def forward(self, x):
        B, T, C = x.size()
        # one matrix for the queries, keys and values of all heads
        W = torch.cat([w.transpose(0, 1).reshape(C, C) for w in (self.W_Q, self.W_K, self.W_V)], 1)
        b = torch.cat([self.b_Q.flatten(), self.b_K.flatten(), self.b_V.flatten()])
        q, k, v = (x @ W + b).split(self.n_embd, dim=2)
        q = q.view(B, T, self.n_head, C // self.n_head).transpose(1, 2)  # (B, nh, T, hs)
        k = k.view(B, T, self.n_head, C // self.n_head).transpose(1, 2)
        v = v.view(B, T, self.n_head, C // self.n_head).transpose(1, 2)
        att = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(k.size(-1)))
        att = att.masked_fill(self.bias[:T, :T] == 0, float("-inf"))
        att = F.softmax(att, dim=-1)
        att = self.attn_dropout(att)
        y = att @ v
        y = y.transpose(1, 2).contiguous().view(B, T, C)
        y = y @ self.W_O.reshape(C, C) + self.b_O
        return self.resid_dropout(y)


class MLP(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.W_in = nn.Parameter(torch.randn(config.d_model, config.d_mlp) * config.init_std)
        self.b_in = nn.Parameter(torch.zeros(config.d_mlp))
        std = config.init_std / math.sqrt(2 * config.n_layers)
        self.W_out = nn.Parameter(torch.randn(config.d_mlp, config.d_model) * std)
        self.b_out = nn.Parameter(torch.zeros(config.d_model))
        self.gelu = nn.GELU(approximate="tanh")
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x):
        x = x @ self.W_in + self.b_in
        x = self.gelu(x)
        x = x @ self.W_out + self.b_out
        x = self.dropout(x)
        return x


class TransformerBlock(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.ln1 = LayerNorm(config)
        self.attn = MultiHeadAttention(config)
        self.ln2 = LayerNorm(config)
        self.mlp = MLP(config)

    def forward(self, x):
        x = x + self.attn(self.ln1(x))
        x = x + self.mlp(self.ln2(x))
        return x


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
        if config.tied_embeddings:
            self.lm_head = nn.Linear(config.d_model, config.d_vocab, bias=False)
            self.lm_head.weight = self.embed.W_E  # tied
        self.ln_final = LayerNorm(config)
        self.unembed = None if config.tied_embeddings else Unembedding(config)

    def forward(self, idx):
        x = self.drop(self.embed(idx) + self.pos_embed(idx))
        for block in self.blocks:
            x = block(x)
        x = self.ln_final(x)
        return self.lm_head(x) if self.unembed is None else self.unembed(x)
