"""The GELU formula, one step a line."""

import math

import torch
import torch.nn as nn
import torch.nn.functional as F


class MLP(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.W_in = nn.Parameter(torch.empty(cfg.d_model, cfg.d_mlp).normal_(0, cfg.init_std))
        self.b_in = nn.Parameter(torch.zeros(cfg.d_mlp))
        std = cfg.init_std / (2 * cfg.n_layers) ** 0.5
        self.W_out = nn.Parameter(torch.empty(cfg.d_mlp, cfg.d_model).normal_(0, std))
        self.b_out = nn.Parameter(torch.zeros(cfg.d_model))
        self.p = cfg.dropout

    def act(self, x):
        x3 = x * x * x
        inner = x + 0.044715 * x3
        inner = inner * (2 / math.pi) ** 0.5
        t = inner.tanh()
        return x * (t + 1) / 2

    def forward(self, x):
        hidden = self.act(x @ self.W_in + self.b_in)
        out = hidden @ self.W_out + self.b_out
        return F.dropout(out, self.p, training=self.training)
