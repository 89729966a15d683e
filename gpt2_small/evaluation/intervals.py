"""Estimate means with their standard errors and 95 % intervals."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gpt2_small.stories.judge import Z_95


@dataclass(frozen=True)
class MeanEstimate:
    """A mean and its standard error; the error is None with fewer than two observations."""

    value: float
    error: float | None
    observations: int

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of Student's distribution (Student 1908)."""
        if self.error is None:
            return None
        half = student_quantile(self.observations - 1) * self.error
        return self.value - half, self.value + half


def student_quantile(degrees: int) -> float:
    """The 97.5 % quantile of Student's distribution.

    Exact for 1 and 2 degrees of freedom; for more by the expansion of Hill 1970 ("Student's
    t-quantiles", Algorithm 396), within 1e-4.
    """
    if degrees < 1:
        raise ValueError(f"degrees is {degrees}; give at least 1")
    if degrees == 1:
        return math.tan(math.pi * (0.5 - 0.025))
    if degrees == 2:
        return math.sqrt(2 / (0.05 * (2 - 0.05)) - 2)
    a = 1 / (degrees - 0.5)
    b = 48 / a**2
    c = ((20700 * a / b - 98) * a - 16) * a + 96.36
    d = ((94.5 / (b + c) - 3) / b + 1) * math.sqrt(a * math.pi / 2) * degrees
    y = (d * 0.05) ** (2 / degrees)
    if y > 0.05 + a:
        x, y = -Z_95, Z_95**2
        if degrees < 5:
            c += 0.3 * (degrees - 4.5) * (x + 0.6)
        c = (((0.05 * d * x - 5) * x - 7) * x - 2) * x + b + c
        y = (((((0.4 * y + 6.3) * y + 36) * y + 94.5) / c - y - 3) / b + 1) * x
        y = math.expm1(a * y**2)
    else:
        y = (
            (
                1 / (((degrees + 6) / (degrees * y) - 0.089 * d - 0.822) * (degrees + 2) * 3)
                + 0.5 / (degrees + 4)
            )
            * y
            - 1
        ) * (degrees + 1) / (degrees + 2) + 1 / y
    return math.sqrt(degrees * y)


def mean(values: Sequence[float]) -> MeanEstimate:
    """The mean of independent observations, with the sample's standard error."""
    count = len(values)
    middle = math.fsum(values) / count
    if count < 2:
        return MeanEstimate(middle, None, count)
    variance = math.fsum((value - middle) ** 2 for value in values) / (count - 1)
    return MeanEstimate(middle, math.sqrt(variance / count), count)


def ratio(totals: Sequence[float], sizes: Sequence[float]) -> MeanEstimate:
    """The ratio of two sums over independent groups, such as nats over tokens of documents.

    The standard error is the ratio estimator's (Cochran 1977, "Sampling Techniques", section 2.11).
    """
    size = math.fsum(sizes)
    value, count = math.fsum(totals) / size, len(totals)
    if count < 2:
        return MeanEstimate(value, None, count)
    squares = math.fsum(
        (total - value * own) ** 2 for total, own in zip(totals, sizes, strict=True)
    )
    return MeanEstimate(value, math.sqrt(squares * count / (count - 1)) / size, count)
