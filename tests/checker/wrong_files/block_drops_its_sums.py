"""A block with a dropout of its own on what its parts, which drop already, give.

TransformerBlock: block-drops-what-it-adds
"""

from torch import nn


class TransformerBlock(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.ln1 = LayerNorm(config)
        self.attn = MultiHeadAttention(config)
        self.ln2 = LayerNorm(config)
        self.mlp = MLP(config)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x):
        x = x + self.dropout(self.attn(self.ln1(x)))  # <-
        return x + self.dropout(self.mlp(self.ln2(x)))
