"""Trace some steps of a run with torch's profiler."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

FOLDER = "profile"
# Steps before the trace, the profiler's warm-up steps, and traced steps.
WAIT, WARM_UP, TRACED = 2, 1, 3


class Profiler:
    """Traces a few early steps; `step` is called after each."""

    def __init__(self, profiler: torch.profiler.profile) -> None:
        self._profiler = profiler

    def step(self) -> None:
        """Signal the end of a step to the profiler."""
        self._profiler.step()


@contextmanager
def profiling(folder: Path, device: torch.device, first_step: int) -> Iterator[Profiler]:
    """In this context, write a trace of three steps into `profile/` of a run's folder.

    The file is in Chrome's format, for chrome://tracing or ui.perfetto.dev.
    """
    activities = [torch.profiler.ProfilerActivity.CPU]
    if device.type == "cuda":
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    first = first_step + WAIT + WARM_UP + 1
    path = folder / FOLDER / f"steps-{first}-to-{first + TRACED - 1}.json"

    def write(profiler: torch.profiler.profile) -> None:
        path.parent.mkdir(exist_ok=True)
        profiler.export_chrome_trace(str(path))

    schedule = torch.profiler.schedule(wait=WAIT, warmup=WARM_UP, active=TRACED, repeat=1)
    with torch.profiler.profile(
        activities=activities, schedule=schedule, on_trace_ready=write
    ) as profiler:
        yield Profiler(profiler)
