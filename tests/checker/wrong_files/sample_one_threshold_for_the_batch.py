"""Top-k whose threshold comes from the first row.

sample: sample-one-threshold-for-all
"""

import torch


def sample(logits, *, temperature=1.0, top_k=None, top_p=None, generator=None):
    if temperature == 0:
        return logits.argmax(dim=-1)
    logits = logits / temperature
    if top_k is not None:
        threshold = logits[0].topk(min(top_k, logits.shape[-1])).values[-1]  # <-
        logits = logits.masked_fill(logits < threshold, float("-inf"))
    probabilities = logits.softmax(dim=-1)
    if top_p is not None:
        values, index = probabilities.sort(dim=-1, descending=True)
        values = values * (values.cumsum(-1) - values < top_p)
        probabilities = torch.zeros_like(values).scatter(1, index, values)
    return torch.multinomial(probabilities, 1, generator=generator).squeeze(1)
