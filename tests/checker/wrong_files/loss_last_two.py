"""The loss that drops the last logits also when they have a target.

next_token_loss: loss-last-logits-always-dropped
"""

import torch.nn.functional as F


def next_token_loss(logits, tokens):
    predictions = logits[:, :-1, :]  # <-
    targets = tokens[:, 1 : logits.shape[1]]
    return F.cross_entropy(predictions.transpose(1, 2), targets)
