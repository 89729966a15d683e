"""E[x^2] - E[x]: the square of the mean is forgotten.

LayerNorm: unknown
"""

import torch
import torch.nn as nn


class LayerNorm(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.w = nn.Parameter(torch.ones(cfg.d_model))
        self.b = nn.Parameter(torch.zeros(cfg.d_model))
        self.eps = cfg.layer_norm_eps

    def forward(self, x):
        mean = x.mean(-1, keepdim=True)
        mean_of_squares = (x * x).mean(-1, keepdim=True)
        var = mean_of_squares - mean  # <-
        return (x - mean) * torch.rsqrt(var.abs() + self.eps) * self.w + self.b
