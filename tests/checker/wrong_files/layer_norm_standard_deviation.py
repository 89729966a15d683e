"""LayerNorm by torch's std, with epsilon beside it.

LayerNorm: layer-norm-epsilon-outside; layer-norm-unbiased-variance
"""

import torch
from torch import nn


class LayerNorm(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.w = nn.Parameter(torch.ones(config.d_model))
        self.b = nn.Parameter(torch.zeros(config.d_model))
        self.eps = config.layer_norm_eps

    def forward(self, x):
        mean = x.mean(dim=-1, keepdim=True)
        std = x.std(dim=-1, keepdim=True)  # <-
        return self.w * (x - mean) / (std + self.eps) + self.b
