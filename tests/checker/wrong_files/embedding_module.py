"""Embedding through nn.Embedding, whose parameter is called weight.

Embedding: embedding-other-name
"""

from torch import nn


class Embedding(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.W_E = nn.Embedding(config.d_vocab, config.d_model)  # <-
        nn.init.normal_(self.W_E.weight, std=config.init_std)

    def forward(self, tokens):
        return self.W_E(tokens)
