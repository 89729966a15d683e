"""A Transformer that runs its blocks from the last to the first.

Transformer: transformer-blocks-backwards
"""

from torch import nn


class Transformer(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.embed = Embedding(config)
        self.pos_embed = PositionalEmbedding(config)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(TransformerBlock(config) for _ in range(config.n_layers))
        self.ln_final = LayerNorm(config)
        self.unembed = Unembedding(config) if not config.tied_embeddings else None

    def forward(self, tokens):
        x = self.dropout(self.embed(tokens) + self.pos_embed(tokens))
        for index in range(len(self.blocks)):
            x = self.blocks[-1 - index](x)  # <-
        x = self.ln_final(x)
        if self.unembed is None:
            return x @ self.embed.W_E.transpose(0, 1)
        return self.unembed(x)
