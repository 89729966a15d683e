"""A step that asks whether its loss is finite, and never its gradient.

train_step: train-step-infinite-gradient
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
    if math.isnan(total) or math.isinf(total):  # <-
        raise FloatingPointError(f"the loss is {total}")
    optimizer.step()  # <-
    return StepResult(total, norm.item(), tokens)
