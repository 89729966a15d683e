"""How the processes of a training find each other, and what is said when they lose one another."""

import math
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch.distributed as dist
from torch.distributed.rendezvous import rendezvous

from gpt2_small.errors import MachineError, ProcessLost
from gpt2_small.training.rendezvous import meeting_place

TIMEOUT = "GPT2_SMALL_TIMEOUT"
TIMEOUT_SECONDS = 600.0
LONGEST_TIMEOUT_SECONDS = 1e8
INTERFACE = {"gloo": "GLOO_SOCKET_IFNAME", "nccl": "NCCL_SOCKET_IFNAME"}

# Where gloo stood, then what it has to say, then advice for whoever builds it.
FROM_GLOO = re.compile(r"gloo/\S+:\d+\] (?P<reason>.*?)(?:\. This is typically .*|\.?\s*)$", re.S)
WAITED_IN_VAIN = re.compile(r"timed out (waiting|after)|wait timeout", re.I)


def timeout() -> timedelta:
    """How long a process waits for another: the seconds of $GPT2_SMALL_TIMEOUT, or ten minutes.

    Raises MachineError for what is no such number.
    """
    given = os.environ.get(TIMEOUT, str(TIMEOUT_SECONDS))
    try:
        seconds = float(given)
    except ValueError:
        seconds = math.nan
    if not 1 <= seconds <= LONGEST_TIMEOUT_SECONDS:
        raise MachineError(f"{TIMEOUT} is {given!r}; give a number of seconds of at least 1")
    return timedelta(seconds=seconds)


def this_machine() -> str:
    """What a sentence begins with, where torchrun runs on several machines."""
    several = os.environ.get("GROUP_WORLD_SIZE", "1") != "1"
    return f"{socket.gethostname()}: " if several else ""


def join(backend: str) -> None:
    """Join the other processes over `gloo` or `nccl`.

    Raises MachineError for a network interface that this machine has not, and ProcessLost when
    another process does not come or cannot be reached.
    """
    patience = timeout()
    here = [name for _, name in socket.if_nameindex()]
    chosen = os.environ.get(INTERFACE["gloo"], "")
    if backend == "gloo" and not set(filter(None, chosen.split(","))) <= set(here):
        raise MachineError(
            f"{this_machine()}{INTERFACE['gloo']} is {chosen!r}, which is no network interface of "
            f"this machine; give one of {', '.join(here)}"
        )
    try:
        store, rank, world_size = next(rendezvous("env://", timeout=patience))
        store.set_timeout(patience)
        place = meeting_place(store, rank, world_size, patience)
        dist.init_process_group(
            backend, store=place, rank=rank, world_size=world_size, timeout=patience
        )
    except RuntimeError as error:
        reason = _reason(error) or str(error)
        if WAITED_IN_VAIN.search(reason):
            reason = f"not all came within {patience.total_seconds():g} seconds"
        raise ProcessLost(
            f"{this_machine()}the processes do not find each other ({reason}); set "
            f"{INTERFACE[backend]} on each machine to its network interface that leads to the "
            f"others, here one of {', '.join(here)}"
        ) from error


@contextmanager
def losses_told() -> Iterator[None]:
    """Within the context, a process that is gone or does not answer is told of in one sentence.

    Raises ProcessLost in place of what gloo or a store raises.
    """
    try:
        yield
    except RuntimeError as error:
        reason = _reason(error)
        if reason is None:
            raise
        lost = f"another process is gone ({reason})"
        if WAITED_IN_VAIN.search(reason):
            seconds = f"{timeout().total_seconds():g} seconds ({TIMEOUT})"
            lost = f"another process was not heard of for {seconds}"
        raise ProcessLost(
            f"{this_machine()}{lost}; what it said last tells more, and the same "
            "command with --resume goes on from the last checkpoint"
        ) from error


def _reason(error: RuntimeError) -> str | None:
    """What gloo or a store has to say of another process; None when the error is another."""
    match = FROM_GLOO.search(str(error))
    if match is not None:
        return match["reason"]
    return str(error).split("\n")[0] if isinstance(error, dist.DistError) else None
