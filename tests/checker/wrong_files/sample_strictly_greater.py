"""Top-k that keeps what is above the k-th, so k - 1 tokens.

sample: sample-top-k-one-less
"""

import torch


def sample(logits, *, temperature=1.0, top_k=None, top_p=None, generator=None):
    if temperature == 0:
        return logits.argmax(-1)
    logits = logits / temperature
    if top_k is not None and 1 < top_k < logits.shape[-1]:
        least = logits.topk(top_k).values[:, -1:]
        logits = logits.masked_fill(logits <= least, -torch.inf)  # <-
    probabilities = logits.softmax(-1)
    if top_p is not None:
        ordered, index = probabilities.sort(-1, descending=True)
        ordered[ordered.cumsum(-1) - ordered >= top_p] = 0
        probabilities = torch.zeros_like(probabilities).scatter(-1, index, ordered)
    return torch.multinomial(probabilities, 1, generator=generator).squeeze(-1)
