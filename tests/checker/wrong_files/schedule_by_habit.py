"""A warm-up from 0, a cosine between the warm-up's length and the total, and no end.

learning_rate: schedule-first-step-zero; schedule-both-one-late; schedule-up-again
"""

import math


def learning_rate(step, *, peak, warmup_steps, total_steps, final_fraction=0.1):
    if not 0 <= peak < math.inf or not 0 <= final_fraction <= 1:
        raise ValueError("no such rate")
    if total_steps < 1 or not 0 <= warmup_steps <= total_steps:
        raise ValueError("no such steps")
    least = peak * final_fraction
    if step < warmup_steps:
        return peak / warmup_steps * step  # <-
    done = (step - warmup_steps) / (total_steps - warmup_steps)
    return least + (peak - least) * (1 + math.cos(math.pi * done)) / 2
