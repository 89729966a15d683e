"""What must be so on every machine before its processes train, and a look whether it is."""

import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path

from gpt2_small.errors import UserError
from gpt2_small.runs.folder import find_checkpoints
from gpt2_small.training.distributed import Processes


def any_restarted(processes: Processes) -> bool:
    """Whether torchrun has started any of the processes again. All take part.

    A machine that was away counts from nought, while the others have been started again.
    """
    restarted = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0"
    return processes.sum(float(restarted))[0] > 0


def check_main_keeps(processes: Processes, folder: Path) -> None:
    """See that no machine has later checkpoints of a run than the main process. All take part.

    It is so when the machines have no folder in common and another one has become the first.

    Raises UserError with the name of the machine that has them.
    """
    steps = [checkpoint.step for checkpoint in find_checkpoints(folder)]
    mine = {"step": max(steps, default=0), "machine": socket.gethostname()}
    main, *others = map(json.loads, processes.gather_bytes(json.dumps(mine).encode()))
    for rank, other in enumerate(others, start=1):
        if other["step"] > main["step"]:
            raise UserError(
                f"process {rank}, on {other['machine']}, finds checkpoints up to step "
                f"{other['step']} in {folder}, but the first process, on {main['machine']}, which "
                f"keeps the run, up to step {main['step']}; copy the folder there, or give one "
                "that all machines share"
            )


def check_alike(processes: Processes, hashes: Mapping[str, str]) -> None:
    """See that what these hashes are of is the same in every process. All take part.

    Raises UserError with what differs, and where.
    """
    mine = {"machine": socket.gethostname(), **hashes}
    main, *others = map(json.loads, processes.gather_bytes(json.dumps(mine).encode()))
    for rank, other in enumerate(others, start=1):
        for what in hashes:
            if other[what] != main[what]:
                raise UserError(
                    f"{what} is not the same for process {rank}, on {other['machine']}, as for the "
                    f"first, on {main['machine']} (its SHA-256 is another); copy it there"
                )
