"""A block whose stream is replaced by its normalized self.

TransformerBlock: block-stream-normalized-twice
"""

from torch import nn


class TransformerBlock(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.ln1 = LayerNorm(config)
        self.attn = MultiHeadAttention(config)
        self.ln2 = LayerNorm(config)
        self.mlp = MLP(config)

    def forward(self, x):
        x = self.ln1(x)
        x = x + self.attn(x)  # <-
        x = self.ln2(x)
        return x + self.mlp(x)
