"""One threshold for the whole batch: min() without dim.

sample: sample-least-threshold-for-all
"""

import torch


def sample(logits, *, temperature=1.0, top_k=None, top_p=None, generator=None):
    if temperature < 0 or (top_k is not None and top_k < 1):
        raise ValueError("bad temperature or top_k")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError("bad top_p")
    if temperature == 0:
        return logits.argmax(-1)
    logits = logits / temperature
    if top_k is not None:
        least = torch.topk(logits, min(top_k, logits.shape[-1])).values.min()
        logits = torch.where(logits >= least, logits, -torch.inf)  # <-
    if top_p is not None:
        ordered, index = torch.sort(logits, descending=True)
        shares = torch.softmax(ordered, -1)
        drop = shares.cumsum(-1) - shares >= top_p
        logits = logits.masked_fill(torch.zeros_like(drop).scatter(-1, index, drop), -torch.inf)
    return torch.multinomial(torch.softmax(logits, -1), 1, generator=generator)[:, 0]
