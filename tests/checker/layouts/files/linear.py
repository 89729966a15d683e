"""Define a GPT with separate nn.Linears as projections, and torch's norms and embeddings."""

import torch
import torch.nn.functional as F
from torch import nn


class LayerNorm(nn.LayerNorm):
    def __init__(self, config):
        super().__init__(config.d_model, eps=config.layer_norm_eps)


class MultiHeadAttention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.heads, self.dropout = config.n_heads, config.dropout
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (
            nn.Linear(config.d_model, config.d_model) for _ in range(4)
        )
        self.drop = nn.Dropout(config.dropout)

    def forward(self, x):
        split = (self.heads, x.shape[-1] // self.heads)
        query, key, value = (
            project(x).unflatten(-1, split).transpose(1, 2)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        rate = self.dropout if self.training else 0.0
        z = F.scaled_dot_product_attention(query, key, value, dropout_p=rate, is_causal=True)
        return self.drop(self.out_proj(z.transpose(1, 2).flatten(2)))


class MLP(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.fc1 = nn.Linear(config.d_model, config.d_mlp)
        self.fc2 = nn.Linear(config.d_mlp, config.d_model)
        self.drop = nn.Dropout(config.dropout)

    def forward(self, x):
        return self.drop(self.fc2(F.gelu(self.fc1(x), approximate="tanh")))


class Block(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.norm1 = LayerNorm(config)
        self.attn = MultiHeadAttention(config)
        self.norm2 = LayerNorm(config)
        self.ff = MLP(config)

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.ff(self.norm2(x))


class GPT(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.tok_emb = nn.Embedding(config.d_vocab, config.d_model)
        self.pos_emb = nn.Embedding(config.n_ctx, config.d_model)
        self.drop = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_layers))
        self.ln_f = LayerNorm(config)
        self.head = nn.Linear(config.d_model, config.d_vocab, bias=not config.tied_embeddings)
        if config.tied_embeddings:
            self.head.weight = self.tok_emb.weight

    def forward(self, tokens):
        places = torch.arange(tokens.shape[1], device=tokens.device)
        x = self.drop(self.tok_emb(tokens) + self.pos_emb(places))
        for block in self.blocks:
            x = block(x)
        return self.head(self.ln_f(x))
