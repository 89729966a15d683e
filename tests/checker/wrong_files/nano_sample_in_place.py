"""logits /= temperature changes the caller's logits.

sample: sample-in-place-division
"""

import torch
import torch.nn.functional as F


def sample(logits, *, temperature=1.0, top_k=None, top_p=None, generator=None):
    if temperature < 0 or (top_k is not None and top_k < 1):
        raise ValueError("bad temperature or top_k")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError("bad top_p")
    if temperature == 0:
        return logits.argmax(-1)
    logits /= temperature  # <-
    if top_k is not None:
        v, _ = torch.topk(logits, min(top_k, logits.size(-1)))
        logits = logits.masked_fill(logits < v[:, [-1]], -float("inf"))
    if top_p is not None:
        sorted_logits, sorted_indices = torch.sort(logits, descending=True, dim=-1)
        cumulative = F.softmax(sorted_logits, dim=-1).cumsum(dim=-1)
        remove = cumulative > top_p
        remove[:, 1:] = remove[:, :-1].clone()
        remove[:, 0] = False
        logits = logits.masked_fill(remove.scatter(1, sorted_indices, remove), -float("inf"))
    probs = F.softmax(logits, dim=-1)
    return torch.multinomial(probs, num_samples=1, generator=generator).squeeze(-1)
