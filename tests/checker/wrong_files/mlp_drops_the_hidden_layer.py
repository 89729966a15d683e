"""Dropout on the hidden layer instead of the output.

MLP: mlp-dropout-of-hidden-layer
"""

import math

import torch
import torch.nn.functional as F
from torch import nn


class MLP(nn.Module):
    def __init__(self, config):
        super().__init__()
        std, into_stream = config.init_std, config.init_std / math.sqrt(2 * config.n_layers)
        self.W_in = nn.Parameter(torch.normal(0, std, (config.d_model, config.d_mlp)))
        self.b_in = nn.Parameter(torch.zeros(config.d_mlp))
        self.W_out = nn.Parameter(torch.normal(0, into_stream, (config.d_mlp, config.d_model)))
        self.b_out = nn.Parameter(torch.zeros(config.d_model))
        self.p = config.dropout

    def forward(self, x):
        hidden = F.gelu(x @ self.W_in + self.b_in, approximate="tanh")
        hidden = F.dropout(hidden, self.p, self.training)  # <-
        return hidden @ self.W_out + self.b_out
