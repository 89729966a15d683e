"""ReLU, no dropout, W_out drawn as wide as W_in.

MLP: mlp-relu; mlp-dropout-missing; mlp-w-out-init-like-w-in
"""

import torch
import torch.nn as nn
import torch.nn.functional as F


class MLP(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.W_in = nn.Parameter(torch.randn(config.d_model, config.d_mlp) * config.init_std)
        self.b_in = nn.Parameter(torch.zeros(config.d_mlp))
        self.W_out = nn.Parameter(torch.randn(config.d_mlp, config.d_model) * config.init_std)
        self.b_out = nn.Parameter(torch.zeros(config.d_model))

    def forward(self, x):
        x = F.relu(x @ self.W_in + self.b_in)  # <-
        return x @ self.W_out + self.b_out
