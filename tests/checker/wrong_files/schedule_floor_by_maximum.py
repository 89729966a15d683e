"""A cosine down to 0 that is cut off at the floor.

learning_rate: schedule-floor-cuts
"""

import math


def learning_rate(step, *, peak, warmup_steps, total_steps, final_fraction=0.1):
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    if step >= total_steps - 1:
        return peak * final_fraction
    start = max(warmup_steps - 1, 0)
    share = (step - start) / (total_steps - 1 - start)
    return max(peak * 0.5 * (1 + math.cos(math.pi * share)), peak * final_fraction)  # <-
