"""An MLP that draws both matrices alike.

MLP: mlp-w-out-init-like-w-in
"""

import torch
import torch.nn.functional as F
from torch import nn


class MLP(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.W_in = nn.Parameter(torch.empty(config.d_model, config.d_mlp))
        self.b_in = nn.Parameter(torch.zeros(config.d_mlp))
        self.W_out = nn.Parameter(torch.empty(config.d_mlp, config.d_model))  # <-
        self.b_out = nn.Parameter(torch.zeros(config.d_model))
        for weight in (self.W_in, self.W_out):
            nn.init.normal_(weight, std=config.init_std)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x):
        hidden = F.gelu(x @ self.W_in + self.b_in, approximate="tanh")
        return self.dropout(hidden @ self.W_out + self.b_out)
