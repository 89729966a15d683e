"""LayerNorm over everything but the batch, as for pictures.

LayerNorm: layer-norm-statistics-over-the-row
"""

import torch
import torch.nn.functional as F
from torch import nn


class LayerNorm(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.eps = config.layer_norm_eps
        self.w = nn.Parameter(torch.ones(config.d_model))
        self.b = nn.Parameter(torch.zeros(config.d_model))

    def forward(self, x):
        return F.layer_norm(x, x.shape[1:], eps=self.eps) * self.w + self.b  # <-
