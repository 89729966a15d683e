"""LayerNorm that divides by the mean absolute deviation.

LayerNorm: layer-norm-absolute-deviation
"""

import torch
from torch import nn


class LayerNorm(nn.Module):
    def __init__(self, config):
        super().__init__()
        d = config.d_model
        self.eps, self.w, self.b = (
            config.layer_norm_eps,
            nn.Parameter(torch.ones(d)),
            nn.Parameter(torch.zeros(d)),
        )

    def forward(self, x):
        centred = x - x.mean(dim=-1, keepdim=True)
        return (
            centred / (centred.abs().mean(dim=-1, keepdim=True) + self.eps) * self.w + self.b
        )  # <-
