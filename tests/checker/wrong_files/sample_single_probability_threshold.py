"""p is used as a threshold of single probabilities.

sample: unknown
"""

import torch


def sample(logits, *, temperature=1.0, top_k=None, top_p=None, generator=None):
    if not 0 <= temperature < float("inf") or (top_k is not None and top_k < 1):
        raise ValueError("temperature or top_k")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError("top_p")
    if temperature == 0:
        return torch.argmax(logits, dim=-1)
    scores = (logits.double() - logits.double().max(-1, keepdim=True).values) / temperature
    if top_k is not None:
        kth = scores.topk(min(top_k, scores.shape[-1]), dim=-1).values[:, -1:]
        scores = torch.where(scores < kth, -torch.inf, scores)
    probs = scores.softmax(-1)
    if top_p is not None and top_p < 1:
        keep = probs >= top_p  # <-
        keep |= probs == probs.max(-1, keepdim=True).values
        probs = probs * keep
    return torch.multinomial(probs, 1, generator=generator)[:, 0]
