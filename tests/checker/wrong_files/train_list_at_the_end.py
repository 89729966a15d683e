"""train that collects its records and returns them when all is done.

train: train-all-at-once
"""

from dataclasses import dataclass


@dataclass
class TrainRecord:
    step: int
    loss: float
    grad_norm: float
    learning_rate: float
    tokens: int


def batch_loss(model, batch):
    return next_token_loss(model(batch[:, :-1]), batch)


def train(model, steps, optimizer, *, schedule, max_grad_norm=1.0, loss=batch_loss):
    records, tokens = [], 0
    for step, batches in enumerate(steps):
        for group in optimizer.param_groups:
            group["lr"] = schedule(step)
        model.train()
        result = train_step(model, batches, optimizer, max_grad_norm=max_grad_norm, loss=loss)
        tokens += result.tokens
        records.append(
            TrainRecord(step + 1, result.loss, result.grad_norm, group["lr"], tokens)
        )  # <-
    return records  # <-
