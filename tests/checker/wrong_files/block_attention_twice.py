"""A block that computes attention anew for the last sum.

TransformerBlock: unknown
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
        after_attention = x + self.attn(self.ln1(x))
        return self.attn(self.ln1(after_attention)) + self.mlp(self.ln2(after_attention)) + x  # <-
