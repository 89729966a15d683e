"""The second shortcut is the first one.

TransformerBlock: block-attention-dropped
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
        shortcut = x
        x = self.ln1(x)
        x = self.attn(x)
        x = x + shortcut

        x = self.ln2(x)
        x = self.mlp(x)
        x = x + shortcut  # <-
        return x
