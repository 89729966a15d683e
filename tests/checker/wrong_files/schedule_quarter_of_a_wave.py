"""A quarter of a cosine instead of half of one.

learning_rate: schedule-quarter-cosine
"""

import math


def learning_rate(step, *, peak, warmup_steps, total_steps, final_fraction=0.1):
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    if step >= total_steps - 1:
        return final_fraction * peak
    start = max(warmup_steps - 1, 0)
    share = (step - start) / (total_steps - 1 - start)
    return peak * (final_fraction + (1 - final_fraction) * math.cos(share * math.pi / 2))  # <-
