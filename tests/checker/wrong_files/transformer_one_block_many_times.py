"""A Transformer whose list holds one and the same block n_layers times.

Transformer: transformer-one-block-repeated
"""

from torch import nn


class Transformer(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.embed = Embedding(config)
        self.pos_embed = PositionalEmbedding(config)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList([TransformerBlock(config)] * config.n_layers)
        self.ln_final = LayerNorm(config)
        self.unembed = None if config.tied_embeddings else Unembedding(config)

    def forward(self, tokens):
        x = self.dropout(self.embed(tokens) + self.pos_embed(tokens))
        for block in self.blocks:
            x = block(x)
        x = self.ln_final(x)
        return self.unembed(x) if self.unembed is not None else x @ self.embed.W_E.T
