"""Top-p cut before top-k, on the probabilities of all tokens.

sample: sample-top-p-before-top-k
"""

import torch


def sample(logits, *, temperature=1.0, top_k=None, top_p=None, generator=None):
    if temperature == 0:
        return logits.argmax(dim=-1)
    values, index = (logits / temperature).sort(dim=-1, descending=True)
    probabilities = values.softmax(dim=-1)  # <-
    if top_p is not None:
        before = probabilities.cumsum(dim=-1) - probabilities
        probabilities = probabilities * (before < top_p)  # <-
    if top_k is not None:
        probabilities = probabilities[:, :top_k]  # <-
    choice = torch.multinomial(probabilities, 1, generator=generator)
    return index.gather(1, choice).squeeze(1)
