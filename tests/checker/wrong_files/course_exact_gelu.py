"""F.gelu without approximate.

MLP: mlp-exact-gelu
"""

import einops
import torch
from torch import nn


class MLP(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.cfg = cfg
        self.W_in = nn.Parameter(torch.empty((cfg.d_model, cfg.d_mlp)))
        self.W_out = nn.Parameter(torch.empty((cfg.d_mlp, cfg.d_model)))
        self.b_in = nn.Parameter(torch.zeros(cfg.d_mlp))
        self.b_out = nn.Parameter(torch.zeros(cfg.d_model))
        nn.init.normal_(self.W_in, std=self.cfg.init_std)
        nn.init.normal_(self.W_out, std=self.cfg.init_std / (2 * cfg.n_layers) ** 0.5)
        self.drop = nn.Dropout(cfg.dropout)

    def forward(self, normalized_resid_mid):
        pre = (
            einops.einsum(
                normalized_resid_mid, self.W_in, "b p d_model, d_model d_mlp -> b p d_mlp"
            )
            + self.b_in
        )
        post = nn.functional.gelu(pre)  # <-
        mlp_out = (
            einops.einsum(post, self.W_out, "b p d_mlp, d_mlp d_model -> b p d_model") + self.b_out
        )
        return self.drop(mlp_out)
