"""Training and measuring: the schedule, accumulated gradients, and numbers that can be compared."""

import math
import statistics
from collections.abc import Callable, Sequence
from typing import Literal

from jaxtyping import Float, Int
from torch import Tensor, nn


def trapezoid(
    step: int,
    *,
    peak: float,
    warmup_steps: int,
    decay_steps: int,
    total_steps: int,
) -> float:
    """The learning rate of a step, counted from 0: a warm-up, a constant rate, a decay to 0.

    It rises linearly to `peak` at step warmup_steps - 1, stays there, and falls linearly over the
    last decay_steps steps, to 0 at step total_steps - 1; after that it is 0 (Hägele et al. 2024,
    "Scaling Laws and Compute-Optimal Training Beyond Fixed Training Durations", section 3).

    Raises ValueError when warm-up and decay together are longer than total_steps.
    """
    if warmup_steps + decay_steps > total_steps:
        raise ValueError(
            f"warmup_steps is {warmup_steps} and decay_steps {decay_steps}, together more than "
            f"total_steps {total_steps}; give fewer"
        )
    rising = (step + 1) / warmup_steps if step < warmup_steps else 1.0
    left = total_steps - 1 - step
    falling = 1.0 if left >= decay_steps else max(left, 0) / max(decay_steps, 1)
    return peak * min(rising, falling)


def accumulate(
    model: nn.Module,
    batches: Sequence[Int[Tensor, "_ _"]],
    loss: Callable[[nn.Module, Tensor], Tensor],
) -> float:
    """Accumulate the gradient of the mean loss over all rows of the micro-batches.

    The gradients are those of one large batch, however it is divided: each micro-batch counts by
    its share of the rows. Earlier gradients are discarded.

    loss: gives the mean loss of a micro-batch's rows.

    Returns the mean loss of all rows. Raises ValueError without a micro-batch.
    """
    if not batches:
        raise ValueError("0 micro-batches have no gradient; give at least 1")
    model.zero_grad()
    rows = sum(len(batch) for batch in batches)
    total = 0.0
    for batch in batches:
        share = loss(model, batch) * (len(batch) / rows)
        share.backward()
        total += share.item()
    return total


# 97.5 % quantiles of Student's t, for 1 to 9 degrees of freedom.
STUDENT = (12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622)


def interval(values: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of the mean of 2 to 10 independent values, such as the results of seeds.

    It is the mean, and on both sides of it Student's quantile times the standard error (Student
    1908, "The Probable Error of a Mean"). The standard deviation is the sample's, over n - 1.

    Raises ValueError for fewer than 2 or more than 10 values.
    """
    count = len(values)
    if not 2 <= count <= 10:
        raise ValueError(f"there are {count} values; give 2 to 10")
    half = STUDENT[count - 2] * statistics.stdev(values) / math.sqrt(count)
    return statistics.fmean(values) - half, statistics.fmean(values) + half


def bits_per_byte(log_probs: Float[Tensor, "seq"], text: str) -> float:
    """How many bits a model needs for a byte of a text in UTF-8.

    Losses of different tokenizers can be compared by it: a token may be a character or a word, a
    byte is a byte (lm-evaluation-harness, `bits_per_byte`).

    log_probs: of all tokens of the text, in nats.

    Raises ValueError for an empty text.
    """
    if not text:
        raise ValueError("the text is empty; give at least one character")
    return -float(log_probs.sum()) / math.log(2) / len(text.encode())


def best_ending(
    log_probs: Sequence[Float[Tensor, "_"]],
    endings: Sequence[str],
    by: Literal["sum", "token", "character"],
) -> int:
    """The number of the ending that a model finds most likely, by one of three definitions.

    sum: the log-probability of the whole ending (accuracy, `acc`, everywhere).
    token: divided by its number of tokens (build-nanogpt's `acc_norm`).
    character: divided by its number of characters (lm-evaluation-harness's `acc_norm`).

    Of equal ones the first is taken. Raises ValueError for another definition.

    log_probs: for each ending, those of its tokens, in nats.
    """
    scores = [float(each.sum()) for each in log_probs]
    if by == "token":
        scores = [score / len(each) for score, each in zip(scores, log_probs, strict=True)]
    elif by == "character":
        scores = [score / len(ending) for score, ending in zip(scores, endings, strict=True)]
    elif by != "sum":
        raise ValueError(f"by is {by!r}; give 'sum', 'token' or 'character'")
    return max(range(len(scores)), key=scores.__getitem__)
