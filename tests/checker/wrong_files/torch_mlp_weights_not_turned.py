"""F.linear with relu and no bias at the end.

MLP: mlp-relu; mlp-b-out-unused
"""

import math

import torch
import torch.nn as nn
import torch.nn.functional as F


class MLP(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.p = config.dropout
        std, out_std = config.init_std, config.init_std / math.sqrt(2 * config.n_layers)
        self.W_in = nn.Parameter(std * torch.randn(config.d_model, config.d_mlp))
        self.b_in = nn.Parameter(torch.zeros(config.d_mlp))
        self.W_out = nn.Parameter(out_std * torch.randn(config.d_mlp, config.d_model))
        self.b_out = nn.Parameter(torch.zeros(config.d_model))

    def forward(self, x):
        h = F.linear(x, self.W_in.T, self.b_in)
        h = F.relu(h)  # <-
        h = F.linear(h, self.W_out.T)
        return F.dropout(h, self.p, self.training)
