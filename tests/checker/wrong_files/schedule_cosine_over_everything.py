"""A cosine that runs over all steps, the warm-up's included.

learning_rate: schedule-cosine-over-everything
"""

import math


def learning_rate(step, *, peak, warmup_steps, total_steps, final_fraction=0.1):
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    progress = min(1.0, step / (total_steps - 1))  # <-
    cosine = 0.5 * (1 + math.cos(math.pi * progress))
    return peak * (final_fraction + (1 - final_fraction) * cosine)
