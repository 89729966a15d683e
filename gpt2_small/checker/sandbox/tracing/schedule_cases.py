"""List the settings of the recorded `learning_rate` calls."""

from typing import Any

# With and without a warm-up, and with another floor than the default.
SCHEDULES: tuple[dict[str, Any], ...] = (
    {"peak": 6.0, "warmup_steps": 7, "total_steps": 40},
    {"peak": 2.0, "warmup_steps": 0, "total_steps": 20, "final_fraction": 0.3},
)


def steps_of(settings: dict[str, Any]) -> int:
    """The number of recorded steps of a schedule, some beyond its end."""
    return int(settings["total_steps"]) + 4
