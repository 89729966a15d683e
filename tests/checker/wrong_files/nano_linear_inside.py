"""nn.Linear inside, with its own names and its own initialisation.

MLP: mlp-other-names
"""

import torch.nn as nn


class MLP(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.c_fc = nn.Linear(config.d_model, config.d_mlp)  # <-
        self.c_proj = nn.Linear(config.d_mlp, config.d_model)
        self.gelu = nn.GELU(approximate="tanh")
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x):
        return self.dropout(self.c_proj(self.gelu(self.c_fc(x))))
