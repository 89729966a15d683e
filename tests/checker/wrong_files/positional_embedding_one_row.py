"""Positions of one row, left to broadcasting.

PositionalEmbedding: positional-embedding-one-row
"""

import torch
from torch import nn


class PositionalEmbedding(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.n_ctx = config.n_ctx
        self.W_pos = nn.Parameter(config.init_std * torch.randn(config.n_ctx, config.d_model))

    def forward(self, tokens):
        seq = tokens.shape[-1]
        if seq > self.n_ctx:
            raise ValueError("too long")
        return self.W_pos[None, :seq]  # <-
