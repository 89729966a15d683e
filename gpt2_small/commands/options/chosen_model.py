"""Open the model that a command uses, on the device and in the dtype of its flags."""

from typing import TYPE_CHECKING

from gpt2_small import binding
from gpt2_small.errors import UserError
from gpt2_small.interrupts import loading

if TYPE_CHECKING:
    import torch

    from gpt2_small.generation import LoadedModel

DTYPES = ("float32", "bfloat16", "float16")


def open_chosen(
    name: str, device: str | None, dtype: str | None = None
) -> tuple["LoadedModel", "torch.device"]:
    """Open a model by the name of a run, a folder or the Hub; returns it and its device.

    Raises UserError for an unknown dtype or device, and as `open_model` does.
    """
    with loading():
        import torch

        from gpt2_small.devices import find_device
        from gpt2_small.generation import open_model

    if dtype not in (None, *DTYPES):
        raise UserError(f"dtype is {dtype!r}; give one of {', '.join(DTYPES)}")
    chosen = find_device(device)
    weights = None if dtype is None else getattr(torch, dtype)
    return open_model(name, device=chosen, dtype=weights), chosen


def described(name: str, device: "torch.device", seed: int | None = None) -> str:
    """A line with a model's name, the solution that computes it, the device and the seed."""
    line = f"{name}, by {binding.describe(binding.bound())}; {device}"
    return line if seed is None else f"{line}, seed {seed}"
