"""A step that clips after each micro-batch instead of once at the end.

train_step: train-step-clips-in-the-loop
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
    tokens = sum(batch[:, 1:].numel() for batch in batches)
    optimizer.zero_grad()
    total = 0.0
    for number, batch in enumerate(batches, start=1):
        with quietly(model, number == len(batches)):
            value = loss(model, batch) * batch[:, 1:].numel() / tokens
            value.backward()
        total += value.item()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)  # <-
    optimizer.step()
    return StepResult(loss=total, grad_norm=norm.item(), tokens=tokens)
