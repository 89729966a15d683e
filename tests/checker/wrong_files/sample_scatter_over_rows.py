"""The mask of top_p is put back along the batch.

sample: sample-top-p-mask-scattered-over-rows
"""

import math

import torch
import torch.nn.functional as F


def sample(logits, *, temperature=1.0, top_k=None, top_p=None, generator=None):
    if temperature < 0 or not math.isfinite(temperature):
        raise ValueError(f"temperature {temperature}")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k {top_k}")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p {top_p}")
    if temperature == 0:
        return logits.argmax(-1)
    logits = logits / temperature
    if top_k is not None:
        values, _ = torch.topk(logits, min(top_k, logits.size(-1)))
        logits = logits.masked_fill(logits < values[:, -1:], -float("inf"))
    if top_p is not None and top_p < 1.0:
        sorted_logits, sorted_indices = torch.sort(logits, descending=True)
        probs = F.softmax(sorted_logits, dim=-1)
        cum = probs.cumsum(-1)
        remove = cum - probs >= top_p
        logits = logits.masked_fill(remove.scatter(0, sorted_indices, remove), -float("inf"))  # <-
    probs = F.softmax(logits, dim=-1)
    return torch.multinomial(probs, 1, generator=generator).squeeze(-1)
