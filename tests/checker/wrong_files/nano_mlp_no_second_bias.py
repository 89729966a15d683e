"""b_out is forgotten, and so is dropout.

MLP: mlp-b-out-unused; mlp-dropout-missing
"""

import math

import torch
import torch.nn as nn


class MLP(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.W_in = nn.Parameter(torch.randn(config.d_model, config.d_mlp) * config.init_std)
        self.b_in = nn.Parameter(torch.zeros(config.d_mlp))
        std = config.init_std / math.sqrt(2 * config.n_layers)
        self.W_out = nn.Parameter(torch.randn(config.d_mlp, config.d_model) * std)
        self.b_out = nn.Parameter(torch.zeros(config.d_model))
        self.gelu = nn.GELU(approximate="tanh")

    def forward(self, x):
        x = x @ self.W_in + self.b_in
        x = self.gelu(x)
        return x @ self.W_out  # <-
