"""Embedding that stores a column, not a row, for each token.

Embedding: embedding-transposed
"""

import torch
from torch import nn


class Embedding(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.W_E = nn.Parameter(torch.randn(config.d_model, config.d_vocab) * config.init_std)  # <-

    def forward(self, tokens):
        return self.W_E[:, tokens].permute(1, 2, 0)
