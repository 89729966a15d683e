"""Not divided by the number of micro-batches.

train_step: train-step-gradient-summed
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


def sync(model, last):
    return nullcontext() if last or not hasattr(model, "no_sync") else model.no_sync()


def train_step(model, batches, optimizer, *, max_grad_norm=1.0, loss=batch_loss):
    if len(batches) == 0 or not max_grad_norm > 0:
        raise ValueError("nothing to do")
    n = sum(b[:, 1:].numel() for b in batches)
    optimizer.zero_grad(set_to_none=True)
    loss_accum = 0.0
    for micro_step, batch in enumerate(batches):
        with sync(model, micro_step == len(batches) - 1):
            value = loss(model, batch)
            value.backward()  # <-
        loss_accum += value.item() * batch[:, 1:].numel() / n
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm).item()
    if not (math.isfinite(loss_accum) and math.isfinite(norm)):
        raise FloatingPointError("not finite")
    optimizer.step()
    return StepResult(loss_accum, norm, n)
