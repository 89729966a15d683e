"""The logarithm of a softmax with a small number against zeros.

next_token_loss: loss-small-number-in-the-logarithm-1e-8
"""

import torch


def next_token_loss(logits, tokens):
    targets = tokens[:, 1:]
    probabilities = torch.softmax(logits[:, : targets.shape[1]], dim=-1)
    right = torch.gather(probabilities, -1, targets.unsqueeze(-1))
    return -(right + 1e-8).log().mean()  # <-
