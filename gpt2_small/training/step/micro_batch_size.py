"""Fit the micro-batch to the device's memory, and explain errors when that is too small."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from gpt2_small.errors import UserError
from gpt2_small.model_protocol import Config
from gpt2_small.planning.memory import MemorySetting, fixed_bytes, largest_micro_batch
from gpt2_small.planning.planned_run import GPU_RESERVE, divisor_up_to, memory_here
from gpt2_small.training.distributed import Processes
from gpt2_small.training.recipes.recipe import Recipe

if TYPE_CHECKING:
    from gpt2_small.training.loop import Training

# Larger micro-batches do not raise the throughput (64 windows of 1,024 in Karpathy's trainers).
ENOUGH_TOKENS = {"cpu": 2**14}
ENOUGH_TOKENS_ON_A_GPU = 2**16
# A run on a CPU plans with a quarter of the machine's memory and leaves the rest to other programs.
CPU_SHARE = 0.25
TOKEN_BYTES = 8
OUT_OF_MEMORY = re.compile(
    r"can't allocate memory|not enough memory|out of memory|overflow", re.IGNORECASE
)


def fitted(
    recipe: Recipe, config: Config, processes: Processes, *, is_twin: bool
) -> tuple[Recipe, tuple[str, ...]]:
    """Set the recipe's micro-batch size, and return remarks on it.

    A given size is used. One that was left out becomes the largest divisor of the process's share
    that fits in memory according to the planner.

    Raises UserError when the batch cannot be divided equally.
    """
    share = recipe.share(processes.world_size)
    memory = usable_memory(processes.device)
    fits = (
        None if memory is None else largest_fit(recipe, config, processes, memory, is_twin=is_twin)
    )
    wanted = recipe.micro_batch_size
    if wanted is not None:
        if processes.device.type == "cpu" or fits is None or wanted <= fits:
            return recipe, ()
        size = divisor_up_to(share, max(1, fits))
        remark = (
            f"--micro-batch-size is {wanted}, but by the planner's estimate {fits} windows fit on "
            f"{processes.device}; if memory runs out, give {size}"
        )
        return recipe, (remark,)
    tokens = ENOUGH_TOKENS.get(processes.device.type, ENOUGH_TOKENS_ON_A_GPU)
    enough = max(1, tokens // config.n_ctx)
    size = divisor_up_to(share, max(1, enough if fits is None else min(enough, fits)))
    return replace(recipe, micro_batch_size=size), ()


def largest_fit(
    recipe: Recipe, config: Config, processes: Processes, memory: float, *, is_twin: bool
) -> int:
    """The number of windows that fit in memory by the planner's estimate, possibly 0."""
    setting = MemorySetting(
        dtype=recipe.dtype,
        on_cpu=processes.device.type == "cpu",
        is_distributed=processes.world_size > 1,
        is_twin=is_twin,
    )
    return largest_micro_batch(config, setting, memory)


def memory_of_device(device: torch.device) -> float | None:
    """Bytes of the device's memory; None where it is unknown."""
    if device.type == "cuda":
        return float(torch.cuda.get_device_properties(device).total_memory)
    if device.type == "mps":
        return float(torch.mps.recommended_max_memory())
    return memory_here() if device.type == "cpu" else None


def usable_memory(device: torch.device) -> float | None:
    """Bytes of memory available to one process; None where it is unknown."""
    memory = memory_of_device(device)
    if memory is None:
        return None
    if device.type == "cpu":
        return memory * CPU_SHARE / int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return memory * (1 - GPU_RESERVE)


def check_possible(config: Config, recipe: Recipe, processes: Processes) -> None:
    """Raises UserError for a model or a batch that can never fit in the device's memory.

    Only lower bounds are counted: weights, gradients and optimiser, and the tokens of a step.
    """
    memory = memory_of_device(processes.device)
    if memory is None:
        return
    needed = fixed_bytes(config)
    if needed > memory:
        raise UserError(
            f"the model's weights, gradients and optimiser take {_in_gb(needed)}, but "
            f"{processes.device} has {_in_gb(memory)}; give a smaller model, for instance with "
            "--set n_layers=N or --set d_model=N"
        )
    tokens = recipe.share(processes.world_size) * (config.n_ctx + 1) * TOKEN_BYTES
    if tokens > memory:
        raise UserError(
            f"--batch-size is {recipe.batch_size}, whose tokens take {_in_gb(tokens)} in a step, "
            f"but {processes.device} has {_in_gb(memory)}; give a smaller one"
        )


@contextmanager
def out_of_memory_as_a_sentence(training: "Training") -> Iterator[None]:
    """In this context, turn out-of-memory errors into a UserError with a micro-batch that fits."""
    with _out_of_memory_as(lambda: _way_out(training)):
        yield


@contextmanager
def out_of_memory_while_building(device: torch.device) -> Iterator[None]:
    """In this context, turn out-of-memory errors of building a model into a UserError."""
    with _out_of_memory_as(lambda: f"the model does not fit into {device}; give a smaller one"):
        yield


@contextmanager
def _out_of_memory_as(sentence: Callable[[], str]) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise UserError(sentence()) from error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch, on any device, or Python ran out of memory."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and bool(
        OUT_OF_MEMORY.search(str(error).split("\n")[0]) and "alloc" in str(error).lower()
    )


def _way_out(training: "Training") -> str:
    recipe, processes = training.recipe, training.processes
    share = recipe.share(processes.world_size)
    size = recipe.micro_batch_size or share
    total = memory_of_device(processes.device)
    in_gb = "" if total is None else f" ({_in_gb(total)})"
    problem = f"{processes.device}{in_gb} is out of memory with {size} windows in a micro-batch"
    if size == 1:
        return f"{problem}; give --set recompute=true, a shorter n_ctx or a smaller model"
    memory, is_twin, fits = usable_memory(processes.device), training.objective.is_twin, size
    if memory:
        fits = largest_fit(recipe, training.config, processes, memory, is_twin=is_twin)
    smaller = divisor_up_to(share, max(1, min(fits, size // 2)))
    return f"{problem}; give --micro-batch-size {smaller}"


def _in_gb(number: float) -> str:
    return f"{number / 1e9:,.1f} GB" if number < 1e12 else f"{number / 1e12:,.1f} TB"
