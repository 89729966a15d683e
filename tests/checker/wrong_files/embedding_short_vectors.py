"""Embedding that shortens vectors longer than 1.

Embedding: embedding-unit-length
"""

import torch
import torch.nn.functional as F
from torch import nn


class Embedding(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.W_E = nn.Parameter(torch.empty(config.d_vocab, config.d_model))
        nn.init.normal_(self.W_E, std=config.init_std)

    def forward(self, tokens):
        vectors = F.embedding(tokens, self.W_E)
        return vectors / vectors.norm(dim=-1, keepdim=True).clamp(min=1.0)  # <-
