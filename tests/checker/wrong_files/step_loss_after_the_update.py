"""A step that tells the loss after the update.

train_step: train-step-tells-loss-after
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
    for number, batch in enumerate(batches, start=1):
        with quietly(model, number == len(batches)):
            (loss(model, batch) * batch[:, 1:].numel() / tokens).backward()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)
    optimizer.step()
    with torch.no_grad():
        after = sum(loss(model, b).item() * b[:, 1:].numel() / tokens for b in batches)  # <-
    return StepResult(loss=after, grad_norm=norm.item(), tokens=tokens)
