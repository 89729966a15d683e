"""Positions that count only tokens other than 0, as if 0 were padding.

PositionalEmbedding: positional-embedding-skips-token-0
"""

import torch
from torch import nn


class PositionalEmbedding(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.n_ctx = config.n_ctx
        self.W_pos = nn.Parameter(torch.empty(config.n_ctx, config.d_model))
        nn.init.normal_(self.W_pos, 0.0, config.init_std)

    def forward(self, tokens):
        if tokens.shape[1] > self.n_ctx:
            raise ValueError(f"{tokens.shape[1]} > {self.n_ctx}")
        positions = (tokens != 0).long().cumsum(dim=1) - 1  # <-
        return self.W_pos[positions.clamp(min=0)]
