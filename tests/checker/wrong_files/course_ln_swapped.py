"""ln1 and ln2 are swapped.

TransformerBlock: block-norms-swapped
"""

from torch import nn


class TransformerBlock(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.ln1 = LayerNorm(cfg)
        self.attn = MultiHeadAttention(cfg)
        self.ln2 = LayerNorm(cfg)
        self.mlp = MLP(cfg)

    def forward(self, resid_pre):
        resid_mid = self.attn(self.ln2(resid_pre)) + resid_pre  # <-
        resid_post = self.mlp(self.ln1(resid_mid)) + resid_mid
        return resid_post
