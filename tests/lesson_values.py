"""Load a lesson's stored measurements, and, in slow tests, measure again."""

import json
import os
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from measure_lessons import LESSONS, measured_again

# Seconds; the longest takes a quarter of an hour of a processor, and a machine may be shared.
LONGEST_MEASUREMENT = 4 * 3600

Values = dict[str, list[float]]


@cache
def stored(lesson: str) -> Values:
    """The values of every seed, by name, as they stand beside the lesson."""
    path = LESSONS / lesson / "measurements.json"
    values: Values = json.loads(path.read_text(encoding="utf-8"))["values"]
    return values


@cache
def measured_now(lesson: str) -> Values:
    """The same, measured now, a seed on each processor."""
    return measured_again(lesson, os.cpu_count() or 1)


def values_fixture(lesson: str) -> Any:
    """A fixture that gives a test the stored values, and those of a new measurement.

    A test of a claim so holds twice: now, of what the lesson draws, and slowly, of what the code
    gives.
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
