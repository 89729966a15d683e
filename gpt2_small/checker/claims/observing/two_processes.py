"""Run a training step in two processes, each with half of every micro-batch."""

import os
import tempfile
import traceback
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from gpt2_small.checker.claims.judging.failure import Failure
from gpt2_small.checker.claims.observing.observation import Observation

_SECONDS = 10


def step_in_two_processes(
    train_step: Callable[..., Any], model: nn.Module, batches: Sequence[Tensor], rate: float
) -> Observation:
    """The first process's weights after a step with clipping to 1, and whether both agree."""
    with tempfile.TemporaryDirectory() as folder:
        ranks = [
            _forked(rank, Path(folder), train_step, model, [b[rank::2] for b in batches], rate)
            for rank in range(2)
        ]
        codes = [os.waitpid(process, 0)[1] for process in ranks]
        said = [path.read_text() for path in sorted(Path(folder).glob("error-*"))]
        if said or any(codes):
            raise Failure(f"in two processes the step fails: {said[0] if said else codes}")
        first, second = (load_file(Path(folder) / f"weights-{rank}") for rank in range(2))
    agree = all(torch.equal(first[name], second[name]) for name in first)
    if not agree:
        raise Failure(
            "after the step the two processes have different weights: "
            "the gradients were not exchanged with the last micro-batch",
            {"the processes": "differ"},
        )
    return {f"{name} after the step": value for name, value in first.items()}


def _forked(rank: int, folder: Path, *work: Any) -> int:
    process = os.fork()
    if process:
        return process
    try:
        _one_rank(rank, folder, *work)
    except BaseException as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        reason = " ".join(str(error).split())[:200]
        (folder / f"error-{rank}").write_text(f"{type(error).__name__}: {reason} ({last.name})")
    finally:
        os._exit(0)


def _one_rank(
    rank: int,
    folder: Path,
    train_step: Callable[..., Any],
    model: nn.Module,
    batches: Sequence[Tensor],
    rate: float,
) -> None:
    dist.init_process_group(
        "gloo",
        store=dist.FileStore(  # type: ignore[attr-defined]
            str(folder / "rendezvous"), 2
        ),
        rank=rank,
        world_size=2,
        timeout=timedelta(seconds=_SECONDS),
    )
    parallel = DistributedDataParallel(model)
    train_step(
        parallel, batches, torch.optim.SGD(parallel.parameters(), lr=rate), max_grad_norm=1.0
    )
    weights = {name: p.detach().clone() for name, p in parallel.module.named_parameters()}
    save_file(weights, folder / f"weights-{rank}")
