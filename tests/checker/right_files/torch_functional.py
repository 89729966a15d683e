"""What torch has is used: layer_norm, scaled_dot_product_attention, linear, embedding."""

import math

import torch
import torch.nn.functional as F
from torch import nn


def weight(*shape, std):
    return nn.Parameter(torch.randn(shape) * std)


class LayerNorm(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.eps = config.layer_norm_eps
        self.w = nn.Parameter(torch.ones(config.d_model))
        self.b = nn.Parameter(torch.zeros(config.d_model))

    def forward(self, x):
        return F.layer_norm(x, self.w.shape, self.w, self.b, self.eps)


class Embedding(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.W_E = weight(config.d_vocab, config.d_model, std=config.init_std)

    def forward(self, tokens):
        return F.embedding(tokens, self.W_E)


class PositionalEmbedding(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.W_pos = weight(config.n_ctx, config.d_model, std=config.init_std)

    def forward(self, tokens):
        if tokens.shape[1] > self.W_pos.shape[0]:
            raise ValueError(f"{tokens.shape[1]} tokens, at most {self.W_pos.shape[0]}")
        positions = torch.arange(tokens.shape[1], device=tokens.device)
        return F.embedding(positions.expand_as(tokens), self.W_pos)


class MultiHeadAttention(nn.Module):
    def __init__(self, config):
        super().__init__()
        shape = (config.n_heads, config.d_model, config.d_head)
        self.W_Q, self.W_K, self.W_V = (weight(*shape, std=config.init_std) for _ in range(3))
        self.b_Q, self.b_K, self.b_V = (
            nn.Parameter(torch.zeros(config.n_heads, config.d_head)) for _ in range(3)
        )
        residual_std = config.init_std / math.sqrt(2 * config.n_layers)
        self.W_O = weight(config.n_heads, config.d_head, config.d_model, std=residual_std)
        self.b_O = nn.Parameter(torch.zeros(config.d_model))
        self.p = config.dropout

    def forward(self, x):
        q, k, v = (
            torch.einsum("bsm,hmd->bhsd", x, w) + b[:, None]
            for w, b in ((self.W_Q, self.b_Q), (self.W_K, self.b_K), (self.W_V, self.b_V))
        )
        p = self.p if self.training else 0.0
        z = F.scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=p)
        out = torch.einsum("bhsd,hdm->bsm", z, self.W_O) + self.b_O
        return F.dropout(out, self.p, self.training)


class MLP(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.W_in = weight(config.d_model, config.d_mlp, std=config.init_std)
        self.b_in = nn.Parameter(torch.zeros(config.d_mlp))
        self.W_out = weight(
            config.d_mlp, config.d_model, std=config.init_std / math.sqrt(2 * config.n_layers)
        )
        self.b_out = nn.Parameter(torch.zeros(config.d_model))
        self.p = config.dropout

    def forward(self, x):
        hidden = F.gelu(F.linear(x, self.W_in.T, self.b_in), approximate="tanh")
        return F.dropout(F.linear(hidden, self.W_out.T, self.b_out), self.p, self.training)


class Unembedding(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.W_U = weight(config.d_model, config.d_vocab, std=config.init_std)
        self.b_U = nn.Parameter(torch.zeros(config.d_vocab))

    def forward(self, x):
        return F.linear(x, self.W_U.T, self.b_U)


def next_token_loss(logits, tokens):
    if tokens.shape[1] - logits.shape[1] not in (0, 1) or tokens[:, 1:].numel() == 0:
        raise ValueError(f"{tuple(tokens.shape)} tokens for {tuple(logits.shape)} logits")
    targets = tokens[:, 1:]
    logits = logits[:, : targets.shape[1]].float()
    return F.cross_entropy(logits.transpose(1, 2), targets)
