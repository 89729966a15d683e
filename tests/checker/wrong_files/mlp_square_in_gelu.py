"""GELU with the square where the cube belongs.

MLP: mlp-gelu-square
"""

import math

import torch
from torch import nn


def gelu(x):
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**2)))  # <-


class MLP(nn.Module):
    def __init__(self, config):
        super().__init__()
        small = config.init_std / math.sqrt(2 * config.n_layers)
        self.W_in = nn.Parameter(torch.randn(config.d_model, config.d_mlp) * config.init_std)
        self.b_in = nn.Parameter(torch.zeros(config.d_mlp))
        self.W_out = nn.Parameter(torch.randn(config.d_mlp, config.d_model) * small)
        self.b_out = nn.Parameter(torch.zeros(config.d_model))
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x):
        return self.dropout(gelu(x @ self.W_in + self.b_in) @ self.W_out + self.b_out)
