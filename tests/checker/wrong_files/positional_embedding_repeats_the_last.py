"""Positions beyond n_ctx that get the last vector instead of an error.

PositionalEmbedding: positional-embedding-beyond-the-last
"""

import torch
from torch import nn


class PositionalEmbedding(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.W_pos = nn.Parameter(config.init_std * torch.randn(config.n_ctx, config.d_model))

    def forward(self, tokens):
        positions = torch.arange(tokens.shape[1], device=tokens.device)
        positions = positions.clamp(max=len(self.W_pos) - 1)  # <-
        return self.W_pos[positions].repeat(tokens.shape[0], 1, 1)
