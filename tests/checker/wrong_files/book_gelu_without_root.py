"""2/pi without its square root.

MLP: mlp-gelu-root-missing
"""

import torch
import torch.nn as nn


class GELU(nn.Module):
    def forward(self, x):
        return 0.5 * x * (1 + torch.tanh((2.0 / torch.pi) * (x + 0.044715 * x**3)))  # <-


class MLP(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.W_in = nn.Parameter(
            nn.init.normal_(torch.empty(cfg.d_model, cfg.d_mlp), 0, cfg.init_std)
        )
        self.b_in = nn.Parameter(torch.zeros(cfg.d_mlp))
        std = cfg.init_std / (2 * cfg.n_layers) ** 0.5
        self.W_out = nn.Parameter(nn.init.normal_(torch.empty(cfg.d_mlp, cfg.d_model), 0, std))
        self.b_out = nn.Parameter(torch.zeros(cfg.d_model))
        self.gelu = GELU()
        self.drop = nn.Dropout(cfg.dropout)

    def forward(self, x):
        x = torch.matmul(x, self.W_in) + self.b_in
        x = self.gelu(x)
        x = torch.matmul(x, self.W_out) + self.b_out
        return self.drop(x)
