"""Fit the micro-batch to the device's memory, and explain when that is too small."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from gpt2_small.errors import UserError
from gpt2_small.model_protocol import Config
from gpt2_small.planning.memory import Setting, fixed_bytes, largest_micro_batch
from gpt2_small.planning.planned_run import GPU_RESERVE, divisor_up_to, memory_here
from gpt2_small.training.distributed import Processes
from gpt2_small.training.recipes.recipe import Recipe

if TYPE_CHECKING:
    from gpt2_small.training.loop import Training

# More tokens at once keep a GPU no busier (64 windows of 1,024, Karpathy's trainers), or a CPU.
ENOUGH_TOKENS = {"cpu": 2**14}
ENOUGH_TOKENS_ON_A_GPU = 2**16
# Of a machine's memory a run on its CPU plans with a quarter: the rest is other programs'.
CPU_SHARE = 0.25
TOKEN_BYTES = 8
OUT_OF_MEMORY = re.compile(
    r"can't allocate memory|not enough memory|out of memory|overflow", re.IGNORECASE
)


def fitted(
    recipe: Recipe, config: Config, processes: Processes, *, is_twin: bool
) -> tuple[Recipe, tuple[str, ...]]:
    """The recipe with the micro-batch that is used, and remarks on it.

    A micro-batch that was asked for is used; one that was left out becomes the largest divisor of
    the process's share that the planner finds room for.

    Raises UserError when the share cannot be cut equally.
    """
    share = recipe.share(processes.world_size)
    room = room_on(processes.device)
    fits = None if room is None else largest_fit(recipe, config, processes, room, is_twin=is_twin)
    wanted = recipe.micro_batch_size
    if wanted is not None:
        if processes.device.type == "cpu" or fits is None or wanted <= fits:
            return recipe, ()
        size = divisor_up_to(share, max(1, fits))
        remark = (
            f"--micro-batch-size is {wanted}, but the planner finds room for {fits} windows on "
            f"{processes.device}; if memory runs out, give {size}"
        )
        return recipe, (remark,)
    tokens = ENOUGH_TOKENS.get(processes.device.type, ENOUGH_TOKENS_ON_A_GPU)
    enough = max(1, tokens // config.n_ctx)
    size = divisor_up_to(share, max(1, enough if fits is None else min(enough, fits)))
    return replace(recipe, micro_batch_size=size), ()


def largest_fit(
    recipe: Recipe, config: Config, processes: Processes, room: float, *, is_twin: bool
) -> int:
    """How many windows the planner finds room for; 0 when not even one."""
    setting = Setting(
        dtype=recipe.dtype,
        on_cpu=processes.device.type == "cpu",
        is_distributed=processes.world_size > 1,
        is_twin=is_twin,
    )
    return largest_micro_batch(config, setting, room)


def memory_of_device(device: torch.device) -> float | None:
    """Bytes of the device's memory; None where it is unknown."""
    if device.type == "cuda":
        return float(torch.cuda.get_device_properties(device).total_memory)
    if device.type == "mps":
        return float(torch.mps.recommended_max_memory())
    return memory_here() if device.type == "cpu" else None


def room_on(device: torch.device) -> float | None:
    """Bytes that one process may plan with; None where nobody says."""
    memory = memory_of_device(device)
    if memory is None:
        return None
    if device.type == "cpu":
        return memory * CPU_SHARE / int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return memory * (1 - GPU_RESERVE)


def check_possible(config: Config, recipe: Recipe, processes: Processes) -> None:
    """Raises UserError for a model or a batch that the device's memory can never hold.

    Only what is certain is counted: weights, gradients and the optimiser, and the tokens of a step.
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
    """Within the context, too little memory is one sentence with the micro-batch that would fit.

    Raises UserError in place of what torch raises.
    """
    with _out_of_memory_as(lambda: _way_out(training)):
        yield


@contextmanager
def out_of_memory_while_building(device: torch.device) -> Iterator[None]:
    """Within the context, too little memory for a model is one sentence.

    Raises UserError in place of what torch raises.
    """
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
    """Whether torch, on whatever device, or Python found too little memory."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and bool(
        OUT_OF_MEMORY.search(str(error).split("\n")[0]) and "alloc" in str(error).lower()
    )


def _way_out(training: "Training") -> str:
    recipe, processes = training.recipe, training.processes
    share = recipe.share(processes.world_size)
    size = recipe.micro_batch_size or share
    memory = memory_of_device(processes.device)
    has = "" if memory is None else f" ({_in_gb(memory)})"
    what = f"{processes.device}{has} is out of memory with {size} windows in a micro-batch"
    if size == 1:
        return f"{what}; give --set recompute=true, a shorter n_ctx or a smaller model"
    room = room_on(processes.device)
    is_twin = training.objective.is_twin
    fits = largest_fit(recipe, training.config, processes, room, is_twin=is_twin) if room else size
    smaller = divisor_up_to(share, max(1, min(fits, size // 2)))
    return f"{what}; give --micro-batch-size {smaller}"


def _in_gb(number: float) -> str:
    return f"{number / 1e9:,.1f} GB" if number < 1e12 else f"{number / 1e12:,.1f} TB"
