"""The logits are shifted, and not the tokens.

next_token_loss: loss-shifted-backwards-without-the-first
"""

import torch.nn.functional as F


def next_token_loss(logits, tokens):
    if tokens.shape[1] == logits.shape[1] + 1:
        inputs, targets = logits, tokens[:, 1:]
    elif tokens.shape[1] == logits.shape[1]:
        inputs, targets = logits[:, 1:], tokens[:, :-1]  # <-
    else:
        raise ValueError("lengths")
    if targets.numel() == 0:
        raise ValueError("no targets")
    return F.cross_entropy(inputs.flatten(0, 1), targets.flatten())
