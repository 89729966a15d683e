"""Draws that repeat themselves where no generator is given.

sample: sample-own-seed-without-generator
"""

import torch


def sample(logits, *, temperature=1.0, top_k=None, top_p=None, generator=None):
    if temperature == 0:
        return logits.argmax(dim=-1)
    if generator is None:
        generator = torch.Generator().manual_seed(42)  # <-
    values, order = (logits / temperature).sort(descending=True, dim=-1)
    if top_k is not None:
        values[:, top_k:] = -torch.inf
    shares = values.softmax(dim=-1)
    if top_p is not None:
        shares = shares.masked_fill(shares.cumsum(dim=-1) - shares >= top_p, 0)
    drawn = torch.multinomial(shares, 1, generator=generator)
    return order.gather(-1, drawn)[:, 0]
