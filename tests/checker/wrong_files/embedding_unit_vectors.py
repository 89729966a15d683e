"""Embedding that gives every token a vector of length 1.

Embedding: embedding-unit-length
"""

import torch
import torch.nn.functional as F
from torch import nn


class Embedding(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.W_E = nn.Parameter(torch.randn(config.d_vocab, config.d_model) * config.init_std)

    def forward(self, tokens):
        return F.normalize(self.W_E[tokens], dim=-1)  # <-
