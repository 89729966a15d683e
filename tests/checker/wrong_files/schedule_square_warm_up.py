"""A warm-up that rises with the square of the step.

learning_rate: schedule-warm-up-square
"""

import math


def learning_rate(step, *, peak, warmup_steps, total_steps, final_fraction=0.1):
    if step < warmup_steps:
        return peak * ((step + 1) / warmup_steps) ** 2  # <-
    if step >= total_steps - 1:
        return peak * final_fraction
    start = max(warmup_steps - 1, 0)
    share = (step - start) / (total_steps - 1 - start)
    return peak * (final_fraction + (1 - final_fraction) * (1 + math.cos(math.pi * share)) / 2)
