"""The loss of every token given itself and what comes after: shifted the wrong way.

next_token_loss: loss-shifted-backwards-without-the-first
"""

import torch.nn.functional as F


def next_token_loss(logits, tokens):
    if tokens.shape[1] == logits.shape[1] + 1:
        tokens = tokens[:, :-1]
    predictions, targets = logits[:, 1:], tokens[:, :-1]  # <-
    return F.cross_entropy(predictions.flatten(0, 1), targets.flatten())
