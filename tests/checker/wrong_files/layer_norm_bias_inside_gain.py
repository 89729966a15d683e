"""LayerNorm that adds the bias first and multiplies by the gain afterwards.

LayerNorm: layer-norm-bias-before-gain
"""

import torch
from torch import nn


class LayerNorm(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.eps = config.layer_norm_eps
        self.w = nn.Parameter(torch.ones(config.d_model))
        self.b = nn.Parameter(torch.zeros(config.d_model))

    def forward(self, x):
        var, mean = torch.var_mean(x, dim=-1, correction=0, keepdim=True)
        return ((x - mean) * (var + self.eps).rsqrt() + self.b) * self.w  # <-
