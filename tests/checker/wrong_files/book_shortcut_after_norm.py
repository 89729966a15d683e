"""The shortcut is taken after the norm.

TransformerBlock: block-stream-normalized-twice
"""

import torch.nn as nn


class TransformerBlock(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.attn = MultiHeadAttention(cfg)
        self.mlp = MLP(cfg)
        self.ln1 = LayerNorm(cfg)
        self.ln2 = LayerNorm(cfg)

    def forward(self, x):
        x = self.ln1(x)
        shortcut = x
        x = self.attn(x)
        x = x + shortcut  # <-

        x = self.ln2(x)
        shortcut = x
        x = self.mlp(x)
        x = x + shortcut
        return x
