"""An unembedding made of nn.Linear.

Unembedding: unembedding-other-name
"""

from torch import nn


class Unembedding(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.linear = nn.Linear(config.d_model, config.d_vocab)  # <-
        nn.init.normal_(self.linear.weight, std=config.init_std)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x):
        return self.linear(x)
