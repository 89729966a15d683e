"""The MLP's residual connection is forgotten.

TransformerBlock: block-mlp-residual-missing
"""

import torch.nn as nn


class TransformerBlock(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.ln1 = LayerNorm(config)
        self.attn = MultiHeadAttention(config)
        self.ln2 = LayerNorm(config)
        self.mlp = MLP(config)

    def forward(self, x):
        x = x + self.attn(self.ln1(x))
        x = self.mlp(self.ln2(x))  # <-
        return x
