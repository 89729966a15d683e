"""The rate is set after the step.

train: train-rate-too-late
"""

from dataclasses import dataclass


@dataclass
class TrainRecord:
    step: int
    loss: float
    grad_norm: float
    learning_rate: float
    tokens: int


def train(model, steps, optimizer, *, schedule, max_grad_norm=1.0, loss=None):
    more = {} if loss is None else {"loss": loss}
    model.train()
    seen = 0
    for i, batches in enumerate(steps):
        model.train()
        r = train_step(model, batches, optimizer, max_grad_norm=max_grad_norm, **more)
        lr = schedule(i)
        for group in optimizer.param_groups:
            group["lr"] = lr  # <-
        seen += r.tokens
        yield TrainRecord(i + 1, r.loss, r.grad_norm, lr, seen)
