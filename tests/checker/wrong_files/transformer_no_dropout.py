"""A Transformer that drops nothing of the sum of the embeddings.

Transformer: transformer-dropout-missing
"""

from torch import nn


class Transformer(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.embed = Embedding(config)
        self.pos_embed = PositionalEmbedding(config)
        self.blocks = nn.ModuleList(TransformerBlock(config) for _ in range(config.n_layers))
        self.ln_final = LayerNorm(config)
        self.unembed = None if config.tied_embeddings else Unembedding(config)

    def forward(self, tokens):
        x = self.embed(tokens) + self.pos_embed(tokens)
        for block in self.blocks:
            x = block(x)
        x = self.ln_final(x)
        return self.unembed(x) if self.unembed is not None else x @ self.embed.W_E.T
