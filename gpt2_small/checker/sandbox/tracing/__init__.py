"""Record what a part does inside, with the lines that do it: torch calls, and effects."""

from gpt2_small.checker.sandbox.tracing.parts import (
    SAMPLING,
    SCHEDULES,
    cases_of,
    model_and_input,
    record,
    sampled,
)
from gpt2_small.checker.sandbox.tracing.trace import Effect, Event, Trace, pack, unpack

__all__ = [
    "SAMPLING",
    "SCHEDULES",
    "Effect",
    "Event",
    "Trace",
    "cases_of",
    "model_and_input",
    "pack",
    "record",
    "sampled",
    "unpack",
]
