"""RMSNorm, which does not subtract the mean.

LayerNorm: layer-norm-rms-norm
"""

import torch
import torch.nn as nn


class LayerNorm(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.cfg = cfg
        self.w = nn.Parameter(torch.ones(cfg.d_model))
        self.b = nn.Parameter(torch.zeros(cfg.d_model))

    def forward(self, residual):
        ms = residual.pow(2).mean(dim=-1, keepdim=True)  # <-
        normed = residual * torch.rsqrt(ms + self.cfg.layer_norm_eps)
        return normed * self.w + self.b
