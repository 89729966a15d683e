"""A block that normalizes what attention and MLP give instead of what they read.

TransformerBlock: block-norm-of-what-is-added
"""

from torch import nn


class TransformerBlock(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.attn = MultiHeadAttention(config)
        self.ln1 = LayerNorm(config)
        self.mlp = MLP(config)
        self.ln2 = LayerNorm(config)

    def forward(self, residual):
        residual = residual + self.ln1(self.attn(residual))  # <-
        residual = residual + self.ln2(self.mlp(residual))
        return residual
