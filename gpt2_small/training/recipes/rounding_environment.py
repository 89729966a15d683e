"""Record and compare the versions, hardware and settings that determine a run's rounding."""

from collections.abc import Mapping
from typing import Any

import torch

from gpt2_small.kernels.matmul import rounding_choices
from gpt2_small.training.loop import Training


def environment_of(training: Training) -> dict[str, Any]:
    """The versions, hardware, kernels and batch division of a training, as JSON values."""
    processes, recipe = training.processes, training.recipe
    found: dict[str, Any] = {
        "torch": torch.__version__,
        "device": device_name(processes.device),
        "processes": processes.world_size,
        "micro-batches": recipe.micro_batches(processes.world_size),
        "compiled": training.is_compiled,
    }
    if processes.device.type == "cpu":
        found |= {"threads": torch.get_num_threads(), **rounding_choices()}
    return found


def device_name(device: torch.device) -> str:
    """A GPU's name, or the instruction set that torch uses on a CPU."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "cpu":
        return f"cpu with {torch.backends.cpu.get_cpu_capability()}"
    return device.type


def difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """Describe the changes between two environments in a sentence; None without a change."""
    changes = [
        f"{name} {now.get(name)} instead of {before.get(name)}"
        for name in {**before, **now}
        if before and before.get(name) != now.get(name)
    ]
    if not changes:
        return None
    return f"sums are rounded differently than in the run so far: {', '.join(changes)}"
