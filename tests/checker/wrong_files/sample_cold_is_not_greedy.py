"""A temperature of 0 that is replaced by a small one.

sample: sample-tiny-temperature-for-zero
"""

import torch


def sample(logits, *, temperature=1.0, top_k=None, top_p=None, generator=None):
    logits = logits / max(temperature, 0.1)  # <-
    order = logits.argsort(dim=-1, descending=True)
    sorted_logits = logits.gather(-1, order)
    if top_k:
        sorted_logits[..., top_k:] = -torch.inf
    p = sorted_logits.softmax(-1)
    if top_p:
        p = p.where(p.cumsum(-1) - p < top_p, 0.0)
    return order.gather(-1, torch.multinomial(p, 1, generator=generator)).squeeze(-1)
