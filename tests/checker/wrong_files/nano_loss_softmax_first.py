"""Gives cross_entropy probabilities.

next_token_loss: loss-softmax-first
"""

import torch.nn.functional as F


def next_token_loss(logits, tokens):
    V = logits.shape[-1]
    targets = tokens[:, 1:]
    probs = F.softmax(logits[:, : targets.shape[1]], dim=-1)  # <-
    return F.cross_entropy(probs.reshape(-1, V), targets.reshape(-1))
