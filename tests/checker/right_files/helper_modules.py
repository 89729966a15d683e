"""Helper modules: one Head a head, a FeedForward that both linear maps belong to."""

import math

import torch
import torch.nn.functional as F
from torch import nn


class Head(nn.Module):
    """One head; its weights are handed in."""

    def forward(self, x, wq, wk, wv, bq, bk, bv, drop):
        T = x.shape[1]
        q, k, v = x @ wq + bq, x @ wk + bk, x @ wv + bv
        wei = q @ k.transpose(-2, -1) * k.shape[-1] ** -0.5
        tril = torch.tril(torch.ones(T, T, device=x.device))
        wei = wei.masked_fill(tril == 0, float("-inf"))
        return drop(F.softmax(wei, dim=-1)) @ v


class MultiHeadAttention(nn.Module):
    def __init__(self, config):
        super().__init__()

        def normal(*shape, scale=1.0):
            return nn.Parameter(torch.normal(0.0, config.init_std * scale, shape))

        H, C, D = config.n_heads, config.d_model, config.d_head
        self.W_Q, self.W_K, self.W_V = normal(H, C, D), normal(H, C, D), normal(H, C, D)
        self.W_O = normal(H, D, C, scale=1 / math.sqrt(2 * config.n_layers))
        self.b_Q, self.b_K, self.b_V = (nn.Parameter(torch.zeros(H, D)) for _ in range(3))
        self.b_O = nn.Parameter(torch.zeros(C))
        self.heads = nn.ModuleList([Head() for _ in range(H)])
        self.attn_drop, self.drop = nn.Dropout(config.dropout), nn.Dropout(config.dropout)

    def forward(self, x):
        weights = zip(self.W_Q, self.W_K, self.W_V, self.b_Q, self.b_K, self.b_V)
        outs = [head(x, *ws, self.attn_drop) for head, ws in zip(self.heads, weights)]
        out = torch.cat(outs, dim=-1) @ torch.cat(list(self.W_O)) + self.b_O
        return self.drop(out)


class NewGELU(nn.Module):
    def forward(self, x):
        inner = math.sqrt(2.0 / math.pi) * (x + 0.044715 * torch.pow(x, 3.0))
        return 0.5 * x * (1.0 + torch.tanh(inner))


class MLP(nn.Module):
    def __init__(self, config):
        super().__init__()
        std = config.init_std
        self.W_in = nn.Parameter(torch.normal(0.0, std, (config.d_model, config.d_mlp)))
        self.b_in = nn.Parameter(torch.zeros(config.d_mlp))
        std = std / math.sqrt(2 * config.n_layers)
        self.W_out = nn.Parameter(torch.normal(0.0, std, (config.d_mlp, config.d_model)))
        self.b_out = nn.Parameter(torch.zeros(config.d_model))
        self.act = nn.Sequential(NewGELU())
        self.drop = nn.Dropout(config.dropout)

    def forward(self, x):
        x = torch.addmm(self.b_in, x.reshape(-1, x.shape[-1]), self.W_in).view(*x.shape[:2], -1)
        x = self.act(x)
        return self.drop(torch.matmul(x, self.W_out) + self.b_out)


class Embedding(nn.Module):
    def __init__(self, config):
        super().__init__()
        table = torch.normal(0.0, config.init_std, (config.d_vocab, config.d_model))
        self.W_E = nn.Parameter(table)

    def forward(self, tokens):
        return F.one_hot(tokens, self.W_E.shape[0]).to(self.W_E.dtype) @ self.W_E
