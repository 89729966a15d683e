"""Join a process group, and report a lost worker in one sentence."""

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
from gpt2_small.training.distributed.rendezvous import rendezvous_store

TIMEOUT = "GPT2_SMALL_TIMEOUT"
TIMEOUT_SECONDS = 600.0
LONGEST_TIMEOUT_SECONDS = 1e8
INTERFACE = {"gloo": "GLOO_SOCKET_IFNAME", "nccl": "NCCL_SOCKET_IFNAME"}

# gloo's messages: its source line, the reason, advice for its developers.
FROM_GLOO = re.compile(r"gloo/\S+:\d+\] (?P<reason>.*?)(?:\. This is typically .*|\.?\s*)$", re.S)
TIMED_OUT = re.compile(r"timed out (waiting|after)|wait timeout", re.I)


def timeout() -> timedelta:
    """The time limit for waiting for another process: $GPT2_SMALL_TIMEOUT seconds, or ten minutes.

    Raises MachineError for anything but a number of at least 1.
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
    """The prefix of a message, `HOST: `, when there are several machines; else empty."""
    has_several = os.environ.get("GROUP_WORLD_SIZE", "1") != "1"
    return f"{socket.gethostname()}: " if has_several else ""


def join(backend: str) -> None:
    """Join the other processes over `gloo` or `nccl`.

    Raises MachineError for a network interface that this machine does not have, and ProcessLost
    when another process does not join in time or cannot be reached.
    """
    limit = timeout()
    interfaces = [name for _, name in socket.if_nameindex()]
    chosen = os.environ.get(INTERFACE["gloo"], "")
    if backend == "gloo" and not set(filter(None, chosen.split(","))) <= set(interfaces):
        raise MachineError(
            f"{this_machine()}{INTERFACE['gloo']} is {chosen!r}, which is not a network interface "
            f"of this machine; give one of {', '.join(interfaces)}"
        )
    try:
        store, rank, world_size = next(rendezvous("env://", timeout=limit))
        store.set_timeout(limit)
        own_store = rendezvous_store(store, rank, world_size, limit)
        dist.init_process_group(
            backend, store=own_store, rank=rank, world_size=world_size, timeout=limit
        )
    except RuntimeError as error:
        reason = _reason(error) or str(error)
        if TIMED_OUT.search(reason):
            reason = f"not all joined within {limit.total_seconds():g} seconds"
        raise ProcessLost(
            f"{this_machine()}the processes cannot reach each other ({reason}); set "
            f"{INTERFACE[backend]} on each machine to its network interface that leads to the "
            f"others, here one of {', '.join(interfaces)}"
        ) from error


@contextmanager
def losses_as_sentences() -> Iterator[None]:
    """In this context, raise ProcessLost, with a sentence, for errors of gloo or the store."""
    try:
        yield
    except RuntimeError as error:
        reason = _reason(error)
        if reason is None:
            raise
        lost = f"another process was lost ({reason})"
        if TIMED_OUT.search(reason):
            seconds = f"{timeout().total_seconds():g} seconds ({TIMEOUT})"
            lost = f"another process did not answer for {seconds}"
        raise ProcessLost(
            f"{this_machine()}{lost}; see its own last message, and resume from the last "
            "checkpoint with the same command and --resume"
        ) from error


def _reason(error: RuntimeError) -> str | None:
    """The reason that gloo or a store gives for losing a process; None for another error."""
    match = FROM_GLOO.search(str(error))
    if match is not None:
        return match["reason"]
    return str(error).split("\n")[0] if isinstance(error, dist.DistError) else None
