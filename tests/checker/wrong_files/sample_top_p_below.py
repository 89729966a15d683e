"""Top-p that keeps tokens while their sum is at most p, and always the first.

sample: sample-top-p-drops-crossing-keeps-first
"""

import torch


def sample(logits, *, temperature=1.0, top_k=None, top_p=None, generator=None):
    if temperature == 0:
        return logits.argmax(dim=-1)
    values, index = (logits / temperature).sort(dim=-1, descending=True)
    if top_k is not None:
        values[:, top_k:] = float("-inf")
    probabilities = values.softmax(dim=-1)
    if top_p is not None:
        drop = probabilities.cumsum(dim=-1) > top_p  # <-
        drop[:, 0] = False
        probabilities = probabilities.masked_fill(drop, 0.0)
    choice = torch.multinomial(probabilities, 1, generator=generator)
    return index.gather(1, choice)[:, 0]
