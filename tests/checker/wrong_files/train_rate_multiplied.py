"""train that multiplies the optimiser's rate by the schedule's instead of setting it.

train: train-rate-multiplied
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
    tokens = 0
    for step, batches in enumerate(steps):
        rate = schedule(step)
        for group in optimizer.param_groups:
            group["lr"] *= rate  # <-
        model.train()
        result = train_step(model, batches, optimizer, max_grad_norm=max_grad_norm, loss=loss)
        tokens += result.tokens
        yield TrainRecord(step + 1, result.loss, result.grad_norm, rate, tokens)
