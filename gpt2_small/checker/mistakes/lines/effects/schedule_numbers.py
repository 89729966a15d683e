"""List the intermediate numbers of right learning-rate schedules."""

import math


def right_numbers(
    step: int, *, peak: float, warmup_steps: int, total_steps: int, final_fraction: float = 0.1
) -> list[float]:
    """Positions, fractions, angles, cosines and rates of a step, each in the usual forms."""
    start, last = max(warmup_steps - 1, 0), total_steps - 1
    floor = peak * final_fraction
    found: list[float] = [step, step + 1, step - start, last - step, step - warmup_steps,
                          step - warmup_steps + 1, total_steps - step]  # fmt: skip
    if warmup_steps:
        share = (step + 1) / warmup_steps
        found += [share, peak * share, min(1.0, share)]
    progress = min(max((step - start) / (last - start), 0.0), 1.0)
    cosine = math.cos(math.pi * progress)
    half = 0.5 * (1 + cosine)
    for number in (progress, math.pi * progress, cosine, 1 + cosine, half):
        found += [number, 1 - number]
    factor = final_fraction + (1 - final_fraction) * half
    found += [(1 - final_fraction) * half, factor, peak * half, (peak - floor) * half]
    return [*found, 0.5 * (peak - floor) * (1 + cosine), peak * factor]
