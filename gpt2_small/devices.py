"""Choose the device that a model runs on."""

import torch

from gpt2_small.errors import UserError


def available_devices() -> list[str]:
    """The devices that torch sees here, the one to prefer first."""
    names = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        names.append("mps")
    return [*names, "cpu"]


def find_device(name: str | None) -> torch.device:
    """The device of this name (`cpu`, `cuda`, `cuda:1`, `mps`); left out, the best one here.

    Raises UserError for a device that is not there.
    """
    there = available_devices()
    if name is None:
        return torch.device(there[0].split(":")[0])
    if name not in there and f"{name}:0" not in there:
        raise UserError(f"there is no device {name!r} here; choose from {', '.join(there)}")
    return torch.device(name)
