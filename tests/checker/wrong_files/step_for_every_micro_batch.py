"""A step that updates after every micro-batch.

train_step: train-step-updates-each-batch
"""

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
    tokens = sum(batch[:, 1:].numel() for batch in batches)
    total, norms = 0.0, []
    for batch in batches:
        optimizer.zero_grad()
        value = loss(model, batch)
        value.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm).item())
        optimizer.step()  # <-
        total += value.item() * batch[:, 1:].numel() / tokens
    return StepResult(loss=total, grad_norm=max(norms), tokens=tokens)
