"""LayerNorm whose epsilon is the least variance, not an addition to it.

LayerNorm: layer-norm-epsilon-as-floor
"""

import torch
from torch import nn


class LayerNorm(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.cfg = cfg
        self.w = nn.Parameter(torch.ones(cfg.d_model))
        self.b = nn.Parameter(torch.zeros(cfg.d_model))

    def forward(self, residual):
        residual = residual - residual.mean(-1, keepdim=True)
        scale = (
            residual.pow(2).mean(-1, keepdim=True).clamp(min=self.cfg.layer_norm_eps).sqrt()
        )  # <-
        return residual / scale * self.w + self.b
