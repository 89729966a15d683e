"""A step on the mean of the micro-batches' means, whatever their sizes.

train_step: train-step-equal-shares
"""

from contextlib import nullcontext
from dataclasses import dataclass

import torch


@dataclass
class StepResult:
    loss: float
    grad_norm: float
    tokens: int


def batch_loss(model, batch):
    return next_token_loss(model(batch[:, :-1]), batch)


def quietly(model, last):
    """No exchange of gradients before the last micro-batch."""
    if not last and hasattr(model, "no_sync"):
        return model.no_sync()
    return nullcontext()


def train_step(model, batches, optimizer, *, max_grad_norm=1.0, loss=batch_loss):
    optimizer.zero_grad(set_to_none=True)
    total, tokens = 0.0, 0
    for i, batch in enumerate(batches):
        with quietly(model, last=i == len(batches) - 1):
            value = loss(model, batch) / len(batches)  # <-
            value.backward()
        total += value.item()
        tokens += batch[:, 1:].numel()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)
    optimizer.step()
    return StepResult(loss=total, grad_norm=float(norm), tokens=tokens)
