"""Positions counted from the end of the sequence.

PositionalEmbedding: positional-embedding-backwards
"""

import torch
from torch import nn


class PositionalEmbedding(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.n_ctx = config.n_ctx
        self.W_pos = nn.Parameter(torch.randn(config.n_ctx, config.d_model) * config.init_std)

    def forward(self, tokens):
        batch, seq = tokens.shape
        if seq > self.n_ctx:
            raise ValueError(f"{seq} tokens are too many")
        positions = torch.arange(seq - 1, -1, -1, device=tokens.device)
        return self.W_pos[positions].expand(batch, seq, -1)  # <-
