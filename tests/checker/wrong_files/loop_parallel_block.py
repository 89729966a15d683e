"""Attention and MLP read the same input.

TransformerBlock: block-in-parallel
"""

import torch.nn as nn


class TransformerBlock(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.ln1, self.ln2 = LayerNorm(cfg), LayerNorm(cfg)
        self.attn, self.mlp = MultiHeadAttention(cfg), MLP(cfg)

    def forward(self, residual):
        normed = self.ln1(residual)
        after_attn = residual + self.attn(normed)
        return after_attn + self.mlp(self.ln2(residual))  # <-
