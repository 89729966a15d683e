"""Indexed by the tokens.

PositionalEmbedding: positional-embedding-by-token-itself
"""

import torch
from torch import nn


class PositionalEmbedding(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.n_ctx = cfg.n_ctx
        self.W_pos = nn.Parameter(torch.empty(cfg.n_ctx, cfg.d_model))
        nn.init.normal_(self.W_pos, std=cfg.init_std)

    def forward(self, tokens):
        if tokens.size(1) > self.n_ctx:
            raise ValueError("too long")
        return self.W_pos[tokens]  # <-
