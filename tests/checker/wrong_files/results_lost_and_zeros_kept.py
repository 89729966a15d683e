"""Masked scores that are stored nowhere, and rows of logits that keep a 0 for what is cut.

MultiHeadAttention: attention-mask-missing
sample: sample-top-p-filled-with-zero
"""

import math

import torch
from torch import nn


class MultiHeadAttention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.heads = config.n_heads
        shape = (config.n_heads, config.d_model, config.d_head)
        self.W_Q, self.W_K, self.W_V = (
            nn.Parameter(config.init_std * torch.randn(shape)) for _ in range(3)
        )
        self.b_Q, self.b_K, self.b_V = (
            nn.Parameter(torch.zeros(config.n_heads, config.d_head)) for _ in range(3)
        )
        out_std = config.init_std / math.sqrt(2 * config.n_layers)
        self.W_O = nn.Parameter(out_std * torch.randn(shape[0], shape[2], shape[1]))
        self.b_O = nn.Parameter(torch.zeros(config.d_model))
        self.drop = nn.Dropout(config.dropout)

    def forward(self, x):
        q, k, v = (
            torch.einsum("btc,hcd->bhtd", x, weight) + bias[:, None]
            for weight, bias in ((self.W_Q, self.b_Q), (self.W_K, self.b_K), (self.W_V, self.b_V))
        )
        scores = q @ k.mT / math.sqrt(q.shape[-1])
        later = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool, device=x.device).triu(1)
        scores.masked_fill(later, float("-inf"))  # <-
        weights = self.drop(scores.softmax(dim=-1))
        mixed = torch.einsum("bhtd,hdc->btc", weights @ v, self.W_O)
        return self.drop(mixed + self.b_O)


def sample(logits, *, temperature=1.0, top_k=None, top_p=None, generator=None):
    if temperature < 0 or (top_k or 1) < 1 or not 0 < (1 if top_p is None else top_p) <= 1:
        raise ValueError("temperature, top_k or top_p")
    if temperature == 0:
        return logits.argmax(-1)
    logits = logits / temperature
    if top_k is not None:
        least = logits.topk(min(top_k, logits.shape[-1])).values[:, -1:]
        logits = logits.where(logits >= least, -torch.inf)
    if top_p is not None:
        rows = []
        for row in logits:
            likely, ids = row.softmax(-1).sort(descending=True)
            kept = ids[likely.cumsum(-1) - likely < top_p]
            only = torch.zeros_like(row)  # <-
            only[kept] = row[kept]  # <-
            rows.append(only)
        logits = torch.stack(rows)
    return torch.multinomial(logits.softmax(-1), 1, generator=generator)[:, 0]
