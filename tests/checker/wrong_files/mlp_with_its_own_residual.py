"""An MLP that adds its input to its output.

MLP: mlp-adds-its-input
"""

import math

import torch
import torch.nn.functional as F
from torch import nn


class MLP(nn.Module):
    def __init__(self, config):
        super().__init__()
        into_stream = config.init_std / math.sqrt(2 * config.n_layers)
        self.W_in = nn.Parameter(torch.randn(config.d_model, config.d_mlp) * config.init_std)
        self.b_in = nn.Parameter(torch.zeros(config.d_mlp))
        self.W_out = nn.Parameter(torch.randn(config.d_mlp, config.d_model) * into_stream)
        self.b_out = nn.Parameter(torch.zeros(config.d_model))
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, residual):
        x = F.linear(residual, self.W_in.T, self.b_in)
        x = F.gelu(x, approximate="tanh")
        x = F.linear(x, self.W_out.T, self.b_out)
        return residual + self.dropout(x)  # <-
