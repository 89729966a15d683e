"""Record a part's torch calls and effects with their lines."""

from gpt2_small.checker.sandbox.tracing.record_part import (
    FLOAT32,
    SAMPLING,
    SCHEDULES,
    cases_of,
    model_and_input,
    record,
    sampled,
)
from gpt2_small.checker.sandbox.tracing.trace import Effect, Event, Trace, pack, unpack

__all__ = [
    "FLOAT32",
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
