"""A temperature that divides the logits by its square root.

sample: sample-temperature-square-root
"""

import torch


def sample(logits, *, temperature=1.0, top_k=None, top_p=None, generator=None):
    if temperature == 0:
        return logits.argmax(-1)
    values, order = (logits / temperature**0.5).sort(-1, descending=True)  # <-
    if top_k is not None:
        values[:, top_k:] = -torch.inf
    p = values.softmax(-1)
    if top_p is not None:
        p[p.cumsum(-1) - p >= top_p] = 0.0
    return order.gather(-1, torch.multinomial(p, 1, generator=generator))[:, 0]
