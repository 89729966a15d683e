"""Position numbers kept as a plain attribute, which stays on the CPU.

PositionalEmbedding: positional-embedding-on-cpu
"""

import torch
import torch.nn.functional as F
from torch import nn


class PositionalEmbedding(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.n_ctx = config.n_ctx
        self.W_pos = nn.Parameter(torch.randn(config.n_ctx, config.d_model) * config.init_std)
        self.numbers = torch.arange(config.n_ctx)  # <-

    def forward(self, tokens):
        batch, length = tokens.shape
        if length > self.n_ctx:
            raise ValueError(f"at most {self.n_ctx} tokens, not {length}")
        return F.embedding(self.numbers[:length].expand(batch, length), self.W_pos)
