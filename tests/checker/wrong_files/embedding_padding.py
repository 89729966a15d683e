"""Token 0 counts as padding.

Embedding: embedding-padding-idx
"""

import torch
import torch.nn.functional as F
from torch import nn


class Embedding(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.W_E = nn.Parameter(torch.empty(config.d_vocab, config.d_model))
        nn.init.normal_(self.W_E, std=config.init_std)

    def forward(self, ids):
        return F.embedding(ids, self.W_E, padding_idx=0)  # <-
