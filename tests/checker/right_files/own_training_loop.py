"""The training parts without torch's helpers: clipping, weighting and zeroing by hand."""

import math
from contextlib import ExitStack
from typing import NamedTuple

import torch


class StepResult(NamedTuple):
    loss: float
    grad_norm: float
    tokens: int


class TrainRecord(NamedTuple):
    step: int
    loss: float
    grad_norm: float
    learning_rate: float
    tokens: int


def batch_loss(model, batch):
    inputs, targets = batch[:, :-1], batch[:, 1:]
    log_probabilities = torch.log_softmax(model(inputs), dim=-1)
    return -log_probabilities.gather(-1, targets[..., None]).mean()


def parameter_groups(model, *, weight_decay):
    def is_matrix(named):
        return named[0].split(".")[-1].startswith("W_")

    named = sorted(model.named_parameters(), key=is_matrix)
    first = next(i for i, pair in enumerate(named) if is_matrix(pair))
    return [
        {"params": [p for _, p in named[first:]], "weight_decay": weight_decay},
        {"params": [p for _, p in named[:first]], "weight_decay": 0},
    ]


def learning_rate(step, *, peak, warmup_steps, total_steps, final_fraction=0.1):
    if not peak >= 0 or not 0 <= final_fraction <= 1:
        raise ValueError(f"peak {peak}, final_fraction {final_fraction}")
    if total_steps < 1 or not 0 <= warmup_steps <= total_steps:
        raise ValueError(f"{warmup_steps} of {total_steps} steps")
    done = step + 1
    if done < warmup_steps:
        return peak * done / warmup_steps
    left = max(total_steps - done, 0)
    share = left / max(total_steps - max(warmup_steps, 1), 1)
    return peak * (final_fraction + (1 - final_fraction) * math.sin(math.pi / 2 * share) ** 2)


def train_step(model, batches, optimizer, *, max_grad_norm=1.0, loss=batch_loss):
    if not batches or not max_grad_norm > 0:
        raise ValueError(f"{len(batches)} micro-batches, max_grad_norm {max_grad_norm}")
    for parameter in model.parameters():
        parameter.grad = None
    counts = [batch.shape[0] * (batch.shape[1] - 1) for batch in batches]
    total = 0.0
    for i, (batch, count) in enumerate(zip(batches, counts, strict=True)):
        with ExitStack() as stack:
            if i + 1 < len(batches) and hasattr(model, "no_sync"):
                stack.enter_context(model.no_sync())
            value = loss(model, batch) * count / sum(counts)
            value.backward()
            total += float(value)
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    norm = torch.linalg.vector_norm(torch.stack([g.norm() for g in gradients]))
    if not math.isfinite(total + float(norm)):
        raise FloatingPointError(f"loss {total}, gradient {float(norm)}")
    scale = (max_grad_norm / (norm + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(scale)
    optimizer.step()
    return StepResult(total, float(norm), sum(counts))


def train(model, steps, optimizer, *, schedule, max_grad_norm=1.0, loss=batch_loss):
    seen = number = 0
    for batches in steps:
        model.train(True)
        for group in optimizer.param_groups:
            group.update(lr=schedule(number))
        result = train_step(model, batches, optimizer, max_grad_norm=max_grad_norm, loss=loss)
        number, seen = number + 1, seen + result.tokens
        yield TrainRecord(
            number, result.loss, result.grad_norm, optimizer.param_groups[0]["lr"], seen
        )
