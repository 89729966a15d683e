"""The final norm is made and never used.

Transformer: transformer-final-norm-missing
"""

import torch.nn as nn


class Transformer(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.config = cfg
        self.embed = Embedding(cfg)
        self.pos_embed = PositionalEmbedding(cfg)
        self.drop = nn.Dropout(cfg.dropout)
        self.blocks = nn.ModuleList([TransformerBlock(cfg) for _ in range(cfg.n_layers)])
        self.ln_final = LayerNorm(cfg)
        self.unembed = None if cfg.tied_embeddings else Unembedding(cfg)

    def head(self, x):
        return x @ self.embed.W_E.t() if self.unembed is None else self.unembed(x)

    def forward(self, idx):
        tok_emb = self.embed(idx)
        pos_emb = self.pos_embed(idx)
        x = self.drop(tok_emb + pos_emb)
        for block in self.blocks:
            x = block(x)
        logits = self.head(x)  # <-
        return logits
