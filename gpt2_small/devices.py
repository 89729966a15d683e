"""Choose the device that a model runs on."""

import torch

from gpt2_small.errors import UserError


def available_devices() -> list[str]:
    """The devices available to torch, the preferred one first."""
    names = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        names.append("mps")
    return [*names, "cpu"]


def find_device(name: str | None) -> torch.device:
    """The device of this name (`cpu`, `cuda`, `cuda:1`, `mps`); left out, the preferred one.

    Raises UserError for an unavailable device.
    """
    available = available_devices()
    if name is None:
        return torch.device(available[0].split(":")[0])
    if name not in available and f"{name}:0" not in available:
        raise UserError(f"there is no device {name!r} here; choose from {', '.join(available)}")
    return torch.device(name)
