"""Logits divided by sqrt(d_model).

Unembedding: unembedding-scaled
"""

import math

import torch
from torch import nn


class Unembedding(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.W_U = nn.Parameter(torch.randn(config.d_model, config.d_vocab) * config.init_std)
        self.b_U = nn.Parameter(torch.zeros(config.d_vocab))

    def forward(self, x):
        return x @ self.W_U / math.sqrt(x.shape[-1]) + self.b_U  # <-
