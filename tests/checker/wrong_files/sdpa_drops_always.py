"""torch's attention drops in evaluation mode too, because dropout_p does not ask for the mode.

MultiHeadAttention: attention-pattern-dropout-in-evaluation
"""

import math

import torch
import torch.nn.functional as F
from torch import nn


class MultiHeadAttention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.rate = config.dropout
        shape = (config.n_heads, config.d_model, config.d_head)
        self.W_Q = nn.Parameter(config.init_std * torch.randn(shape))
        self.W_K = nn.Parameter(config.init_std * torch.randn(shape))
        self.W_V = nn.Parameter(config.init_std * torch.randn(shape))
        self.b_Q = nn.Parameter(torch.zeros(config.n_heads, config.d_head))
        self.b_K = nn.Parameter(torch.zeros(config.n_heads, config.d_head))
        self.b_V = nn.Parameter(torch.zeros(config.n_heads, config.d_head))
        out_std = config.init_std / math.sqrt(2 * config.n_layers)
        self.W_O = nn.Parameter(out_std * torch.randn(shape[0], shape[2], shape[1]))
        self.b_O = nn.Parameter(torch.zeros(config.d_model))

    def forward(self, x):
        query = torch.einsum("btc,hcd->bhtd", x, self.W_Q) + self.b_Q[:, None]
        key = torch.einsum("btc,hcd->bhtd", x, self.W_K) + self.b_K[:, None]
        value = torch.einsum("btc,hcd->bhtd", x, self.W_V) + self.b_V[:, None]
        mixed = F.scaled_dot_product_attention(  # <-
            query, key, value, is_causal=True, dropout_p=self.rate
        )
        out = torch.einsum("bhtd,hdc->btc", mixed, self.W_O) + self.b_O
        return F.dropout(out, self.rate, self.training)
