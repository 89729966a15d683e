"""Load a lesson's stored measurements, and, in slow tests, measure again."""

import json
import os
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from measure_lessons import LESSONS, measured_again

# Seconds; the longest takes 15 minutes of one core, and the machine may be shared.
LONGEST_MEASUREMENT = 4 * 3600

Values = dict[str, list[float]]


@cache
def stored(lesson: str) -> Values:
    """Return the stored values of every seed, by name."""
    path = LESSONS / lesson / "measurements.json"
    values: Values = json.loads(path.read_text(encoding="utf-8"))["values"]
    return values


@cache
def measured_now(lesson: str) -> Values:
    """Measure the same values again, one seed per core."""
    return measured_again(lesson, os.cpu_count() or 1)


def values_fixture(lesson: str) -> Any:
    """Return a fixture with two cases: the stored values and, in slow tests, new measurements.

    So each claim is tested on the numbers that the lesson shows and on those that the code gives.
    """
    sources: list[Callable[[str], Values]] = [stored, measured_now]
    slow = [pytest.mark.slow, pytest.mark.timeout(LONGEST_MEASUREMENT)]
    parameters = [
        pytest.param(sources[0], id="stored"),
        pytest.param(sources[1], id="measured-again", marks=slow),
    ]

    @pytest.fixture(name="values", params=parameters)
    def values(request: pytest.FixtureRequest) -> Values:
        found: Values = request.param(lesson)
        return found

    return values
