"""State for which settings the rates of `learning_rate` are recorded."""

from typing import Any

# With and without a warm-up, and a floor that is no default.
SCHEDULES: tuple[dict[str, Any], ...] = (
    {"peak": 6.0, "warmup_steps": 7, "total_steps": 40},
    {"peak": 2.0, "warmup_steps": 0, "total_steps": 20, "final_fraction": 0.3},
)


def steps_of(settings: dict[str, Any]) -> int:
    """How many steps of a schedule are recorded: some beyond its end too."""
    return int(settings["total_steps"]) + 4
