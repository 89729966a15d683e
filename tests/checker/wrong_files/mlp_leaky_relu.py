"""A leaky ReLU for the activation.

MLP: mlp-leaky-relu
"""

import torch
import torch.nn.functional as F
from torch import nn


class MLP(nn.Module):
    def __init__(self, config):
        super().__init__()
        narrow = config.init_std * (2 * config.n_layers) ** -0.5
        self.W_in = nn.Parameter(torch.randn(config.d_model, config.d_mlp) * config.init_std)
        self.b_in = nn.Parameter(torch.zeros(config.d_mlp))
        self.W_out = nn.Parameter(torch.randn(config.d_mlp, config.d_model) * narrow)
        self.b_out = nn.Parameter(torch.zeros(config.d_model))
        self.drop = nn.Dropout(config.dropout)

    def forward(self, x):
        hidden = F.leaky_relu(torch.einsum("bsm,mh->bsh", x, self.W_in) + self.b_in, 0.02)  # <-
        return self.drop(torch.einsum("bsh,hm->bsm", hidden, self.W_out) + self.b_out)
