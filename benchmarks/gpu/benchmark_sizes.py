"""Set the sizes of a GPU's measurements, and free the device's memory between two."""

import argparse
from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass(frozen=True)
class Sizes:
    """The sizes of the measurements.

    batches: windows of n_ctx in a training step, tried in turn until one fits.
    """

    shape: str
    batches: tuple[int, ...]
    rounds: int
    new_tokens: int
    prompt: int
    rows: tuple[int, ...]
    resume_steps: int


FULL = Sizes("gpt2-padded", (64, 32, 16, 8), 8, 128, 64, (1, 64), 60)
TINY = Sizes("tiny", (4,), 2, 4, 3, (1, 2), 12)


@dataclass(frozen=True)
class Bench:
    """The state shared by the sections."""

    arguments: argparse.Namespace
    sizes: Sizes
    scratch: Path

    @property
    def device(self) -> str:
        return str(self.arguments.device)

    @property
    def is_tiny(self) -> bool:
        return bool(self.arguments.tiny)


def release(device: str) -> None:
    torch._dynamo.reset()
    if device == "cuda":
        torch.cuda.empty_cache()
