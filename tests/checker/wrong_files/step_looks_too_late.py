"""A step that looks whether its numbers are finite when the weights have changed already.

train_step: train-step-updates-before-it-looks
"""

import math
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


def train_step(model, batches, optimizer, *, max_grad_norm=1.0, loss=batch_loss):
    tokens, total = sum(batch[:, 1:].numel() for batch in batches), 0.0
    optimizer.zero_grad()
    for number, batch in enumerate(batches, start=1):
        waits = number < len(batches) and hasattr(model, "no_sync")
        with model.no_sync() if waits else nullcontext():
            value = loss(model, batch) * batch[:, 1:].numel() / tokens
            value.backward()
        total += value.item()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)
    optimizer.step()  # <-
    if not (math.isfinite(total) and torch.isfinite(norm)):  # <-
        raise FloatingPointError(f"the loss is {total}, the norm {norm}")
    return StepResult(total, norm.item(), tokens)
