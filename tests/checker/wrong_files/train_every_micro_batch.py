"""train that makes a step of every micro-batch.

train: train-every-micro-batch-counted
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
    model.train()
    tokens = count = 0
    for batches in steps:
        for batch in batches:  # <-
            rate = schedule(count)
            for group in optimizer.param_groups:
                group["lr"] = rate
            result = train_step(
                model, [batch], optimizer, max_grad_norm=max_grad_norm, loss=loss
            )  # <-
            count += 1
            tokens += result.tokens
            yield TrainRecord(count, result.loss, result.grad_norm, rate, tokens)
