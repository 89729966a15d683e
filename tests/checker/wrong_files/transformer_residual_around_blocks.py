"""A Transformer that adds each block's input to its output once more.

Transformer: transformer-residual-around-blocks
"""

from torch import nn


class Transformer(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.embed, self.pos_embed = Embedding(config), PositionalEmbedding(config)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList([TransformerBlock(config) for _ in range(config.n_layers)])
        self.ln_final = LayerNorm(config)
        self.unembed = None if config.tied_embeddings else Unembedding(config)

    def forward(self, tokens):
        x = self.dropout(self.embed(tokens) + self.pos_embed(tokens))
        for block in self.blocks:
            x = x + block(x)  # <-
        x = self.ln_final(x)
        return x @ self.embed.W_E.T if self.unembed is None else self.unembed(x)
