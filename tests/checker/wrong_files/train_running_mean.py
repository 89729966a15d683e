"""train that tells the mean of all losses so far.

train: train-running-mean
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
    losses, tokens = [], 0
    for number, batches in enumerate(steps, start=1):
        rate = schedule(number - 1)
        for group in optimizer.param_groups:
            group["lr"] = rate
        model.train()
        result = train_step(model, batches, optimizer, max_grad_norm=max_grad_norm, loss=loss)
        losses.append(result.loss)
        tokens += result.tokens
        mean = sum(losses) / len(losses)  # <-
        yield TrainRecord(number, mean, result.grad_norm, rate, tokens)
