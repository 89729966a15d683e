"""A block that takes the mean of the stream and what is written to it.

TransformerBlock: block-averaged
"""

from torch import nn


class TransformerBlock(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.ln1, self.ln2 = LayerNorm(config), LayerNorm(config)
        self.attn, self.mlp = MultiHeadAttention(config), MLP(config)

    def forward(self, x):
        x = (x + self.attn(self.ln1(x))) / 2
        return (x + self.mlp(self.ln2(x))) / 2  # <-
