"""gather in the place of scatter.

sample: sample-sorted-logits-gathered-back
"""

import torch
import torch.nn.functional as F


def check(temperature, top_k, top_p):
    if not 0 <= temperature < float("inf"):
        raise ValueError("temperature")
    if top_k is not None and top_k < 1:
        raise ValueError("top_k")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError("top_p")


def sample(logits, *, temperature=1.0, top_k=None, top_p=None, generator=None):
    check(temperature, top_k, top_p)
    if temperature == 0:
        return logits.argmax(dim=-1)
    logits = (logits.double() - logits.double().amax(-1, keepdim=True)) / temperature
    if top_k is not None:
        v, _ = torch.topk(logits, min(top_k, logits.size(-1)))
        logits = logits.masked_fill(logits < v[:, [-1]], -float("inf"))
    if top_p is not None:
        sorted_logits, sorted_indices = torch.sort(logits, dim=-1, descending=True)
        probs = F.softmax(sorted_logits, dim=-1)
        remove = probs.cumsum(-1) - probs >= top_p
        sorted_logits = sorted_logits.masked_fill(remove, -float("inf"))
        logits = sorted_logits.gather(1, sorted_indices)  # <-
    probs = F.softmax(logits, dim=-1)
    return torch.multinomial(probs, num_samples=1, generator=generator).squeeze(1)
