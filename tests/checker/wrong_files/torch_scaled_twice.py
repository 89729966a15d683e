"""The queries are scaled, and scaled_dot_product_attention scales again.

MultiHeadAttention: attention-scale-without-root
"""

import math

import torch
import torch.nn as nn
import torch.nn.functional as F


class MultiHeadAttention(nn.Module):
    def __init__(self, config):
        super().__init__()
        h, c, d = config.n_heads, config.d_model, config.d_head
        self.p = config.dropout
        std, out_std = config.init_std, config.init_std / math.sqrt(2 * config.n_layers)
        self.W_Q = nn.Parameter(std * torch.randn(h, c, d))
        self.W_K = nn.Parameter(std * torch.randn(h, c, d))
        self.W_V = nn.Parameter(std * torch.randn(h, c, d))
        self.W_O = nn.Parameter(out_std * torch.randn(h, d, c))
        self.b_Q = nn.Parameter(torch.zeros(h, d))
        self.b_K = nn.Parameter(torch.zeros(h, d))
        self.b_V = nn.Parameter(torch.zeros(h, d))
        self.b_O = nn.Parameter(torch.zeros(c))

    def forward(self, x):
        q = torch.einsum("btc,hcd->bhtd", x, self.W_Q) + self.b_Q[:, None]
        k = torch.einsum("btc,hcd->bhtd", x, self.W_K) + self.b_K[:, None]
        v = torch.einsum("btc,hcd->bhtd", x, self.W_V) + self.b_V[:, None]
        p = self.p if self.training else 0.0
        q = q / math.sqrt(q.shape[-1])  # <-
        y = F.scaled_dot_product_attention(q, k, v, dropout_p=p, is_causal=True)  # <-
        y = torch.einsum("bhtd,hdc->btc", y, self.W_O) + self.b_O
        return F.dropout(y, self.p, self.training)
