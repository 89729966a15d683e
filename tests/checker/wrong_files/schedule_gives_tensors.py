"""A schedule whose rates are tensors, which no log can hold.

learning_rate: schedule-gives-tensors
"""

import math

import torch


def learning_rate(step, *, peak, warmup_steps, total_steps, final_fraction=0.1):
    if step < warmup_steps:
        return torch.tensor(peak * (step + 1) / warmup_steps)  # <-
    first, last = max(warmup_steps - 1, 0), total_steps - 1
    share = 1.0 if step >= last else (step - first) / (last - first)
    low = final_fraction * peak
    return torch.tensor(low + (peak - low) * (1 + math.cos(math.pi * share)) / 2)  # <-
