"""Measure the cost of a run beside its steps: its input, its checkpoints, its memory.

    python benchmarks/run_overhead.py --text input.txt
    python benchmarks/run_overhead.py --text input.txt --preset gpt2 --steps 12 \\
        --set batch_size=4 --set micro_batch_size=4 --set n_ctx=256 --set checkpoint_every=4

A run is trained in a temporary folder. For every step it records the duration of the step, of its
input, and of the wait for its checkpoint; and after a tenth of the steps and at the end the
process's resident memory.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from measuring import circumstances, console, show, write

from gpt2_small import binding
from gpt2_small.training.checkpointing.checkpoints import CheckpointWriter
from gpt2_small.training.distributed import Processes
from gpt2_small.training.recipes.settings import parsed
from gpt2_small.training.recipes.training_presets import training_preset
from gpt2_small.training.run_loop import RunRecorder, train_run
from gpt2_small.training.session import OpenRun, open_run


class CallTimer:
    """Records the seconds of every call of a function."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.seconds: list[float] = []

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        started = time.perf_counter()
        result = self.function(*arguments, **keywords)
        self.seconds.append(time.perf_counter() - started)
        return result


def resident_bytes() -> int:
    """Return this process's resident memory (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))


def measure(run: OpenRun) -> dict[str, Any]:
    """Train the run to its end."""
    recipe = run.settings.recipe
    inputs = CallTimer(run.training._micro_batches)
    waits, writes = CallTimer(RunRecorder.save), CallTimer(CheckpointWriter._write)
    # The functions that the run calls, each wrapped in a timer.
    vars(run.training)["_micro_batches"] = inputs
    recorder: Any = RunRecorder
    recorder.save = lambda *arguments: waits(*arguments)
    writer: Any = CheckpointWriter
    writer._write = lambda *arguments: writes(*arguments)
    steps, started, early = [], time.perf_counter(), 0
    for record in train_run(run):
        steps.append(time.perf_counter() - started)
        if record.step == max(1, recipe.max_steps // 10):
            early = resident_bytes()
        started = time.perf_counter()
    late = resident_bytes()
    plain = [taken for number, taken in enumerate(steps, 1) if number % recipe.checkpoint_every]
    step = statistics.median(plain)
    return {
        "ms a step": round(1e3 * step, 2),
        "input, share of a step": f"{statistics.median(inputs.seconds) / step:.2%}",
        "ms a checkpoint holds training up": round(1e3 * statistics.median(waits.seconds), 1),
        "of a step": round(statistics.median(waits.seconds) / step, 2),
        "ms to write it, meanwhile": round(1e3 * statistics.median(writes.seconds), 1),
        "MB after a tenth": round(early / 1e6),
        "MB at the end": round(late / 1e6),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--text", required=True)
    parser.add_argument("--preset", default="shakespeare-cpu")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    about = circumstances("cpu")
    console.print(about)
    changes = {
        "data": arguments.text,
        "max_steps": arguments.steps,
        "evaluate_every": arguments.steps,
        "checkpoint_every": 100,
        **parsed(arguments.set),
    }
    processes = Processes(0, 1, torch.device("cpu"))
    preset = training_preset(arguments.preset)
    with (
        tempfile.TemporaryDirectory() as folder,
        open_run(binding.bound(), Path(folder) / "run", preset, changes, processes) as run,
    ):
        found = measure(run)
    show(
        f"{arguments.preset}, {arguments.steps} steps", [{"": k, " ": v} for k, v in found.items()]
    )
    write(arguments.json, {"circumstances": about, "costs": found})


if __name__ == "__main__":
    main()
