"""Sines and cosines, with the learned vectors added.

PositionalEmbedding: unknown
"""

import torch
from torch import nn


class PositionalEmbedding(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.n_ctx = config.n_ctx
        self.W_pos = nn.Parameter(config.init_std * torch.randn(config.n_ctx, config.d_model))

    def forward(self, tokens):
        batch, seq = tokens.shape
        if seq > self.n_ctx:
            raise ValueError(f"at most {self.n_ctx} tokens")
        d_model = self.W_pos.shape[1]
        place = torch.arange(seq, device=tokens.device).unsqueeze(1)
        rate = 10000 ** (-torch.arange(0, d_model, 2, device=tokens.device) / d_model)
        waves = torch.cat([torch.sin(place * rate), torch.cos(place * rate)], dim=1)
        return (waves.to(self.W_pos.dtype) + self.W_pos[:seq]).expand(batch, -1, -1)  # <-
