"""Logits of the last position, since only they are needed to go on.

Unembedding: unembedding-last-position
"""

import torch
from torch import nn


class Unembedding(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.W_U = nn.Parameter(torch.randn(config.d_model, config.d_vocab) * config.init_std)
        self.b_U = nn.Parameter(torch.zeros(config.d_vocab))

    def forward(self, x):
        return x[:, -1] @ self.W_U + self.b_U  # <-
