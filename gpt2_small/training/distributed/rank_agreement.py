"""Compare checkpoints, data and solution between machines before training starts."""

import os
import socket
from collections.abc import Mapping
from pathlib import Path

from gpt2_small.errors import UserError
from gpt2_small.runs.checkpoint_folders import find_checkpoints
from gpt2_small.training.distributed import Processes


def any_restarted(processes: Processes) -> bool:
    """Whether torchrun has restarted any process. All processes take part.

    On a machine that joined later the restart count is 0, although others were restarted.
    """
    restarted = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0"
    return processes.sum(float(restarted))[0] > 0


def check_main_has_latest(processes: Processes, folder: Path) -> None:
    """Check that no machine has later checkpoints than the main process's. All processes take part.

    This happens when the machines share no folder and rank 0 has moved to another machine.

    Raises UserError with the name of the machine that has later checkpoints.
    """
    steps = [checkpoint.step for checkpoint in find_checkpoints(folder)]
    mine = {"step": max(steps, default=0), "machine": socket.gethostname()}
    main, *others = processes.gather_json(mine)
    for rank, other in enumerate(others, start=1):
        if other["step"] > main["step"]:
            raise UserError(
                f"process {rank}, on {other['machine']}, finds checkpoints up to step "
                f"{other['step']} in {folder}, but the first process, on {main['machine']}, which "
                f"writes the run, up to step {main['step']}; copy the folder there, or give one "
                "that all machines share"
            )


def check_alike(processes: Processes, hashes: Mapping[str, str]) -> None:
    """Check that these named hashes are equal in all processes. All processes take part.

    Raises UserError with the name that differs, and the machine.
    """
    mine = {"machine": socket.gethostname(), **hashes}
    main, *others = processes.gather_json(mine)
    for rank, other in enumerate(others, start=1):
        for name in hashes:
            if other[name] != main[name]:
                raise UserError(
                    f"{name} is not the same for process {rank}, on {other['machine']}, as for the "
                    f"first, on {main['machine']} (its SHA-256 differs); copy it there"
                )
