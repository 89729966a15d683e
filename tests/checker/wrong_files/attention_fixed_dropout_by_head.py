"""One head at a time, with dropout of a fixed 0.2 and the scale of the whole width.

MultiHeadAttention: attention-scale-d-model; attention-dropout-fixed-at-0.2
"""

import math

import torch
from torch import nn

RATE = 0.2


class MultiHeadAttention(nn.Module):
    def __init__(self, config):
        super().__init__()
        heads, width, size = config.n_heads, config.d_model, config.d_head
        small = config.init_std / math.sqrt(2 * config.n_layers)
        self.W_Q = nn.Parameter(torch.randn(heads, width, size) * config.init_std)
        self.W_K = nn.Parameter(torch.randn(heads, width, size) * config.init_std)
        self.W_V = nn.Parameter(torch.randn(heads, width, size) * config.init_std)
        self.W_O = nn.Parameter(torch.randn(heads, size, width) * small)
        self.b_Q = nn.Parameter(torch.zeros(heads, size))
        self.b_K = nn.Parameter(torch.zeros(heads, size))
        self.b_V = nn.Parameter(torch.zeros(heads, size))
        self.b_O = nn.Parameter(torch.zeros(width))
        self.drop_pattern, self.drop_output = nn.Dropout(RATE), nn.Dropout(RATE)

    def one_head(self, x, head):
        queries = x @ self.W_Q[head] + self.b_Q[head]
        keys = x @ self.W_K[head] + self.b_K[head]
        values = x @ self.W_V[head] + self.b_V[head]
        scores = queries @ keys.mT / math.sqrt(x.shape[-1])  # <-
        future = torch.ones_like(scores, dtype=torch.bool).triu(1)
        pattern = scores.masked_fill(future, -torch.inf).softmax(-1)
        return self.drop_pattern(pattern) @ values

    def forward(self, x):
        heads = [self.one_head(x, head) for head in range(len(self.W_Q))]
        return self.drop_output(torch.cat(heads, -1) @ self.W_O.flatten(0, 1) + self.b_O)
