"""The norm of the annotated transformer: torch's std, and eps added to it.

LayerNorm: layer-norm-unbiased-variance; layer-norm-epsilon-outside
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
        std = x.std(-1, keepdim=True)  # <-
        return self.w * (x - mean) / (std + self.eps) + self.b  # <-
