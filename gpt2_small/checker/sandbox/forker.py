"""Fork a child for every task of the judge, and send it the child's exit status.

The forking process has imported torch and the claims, but contains no expectation, reference or
mistake, so no child inherits one.
"""

import contextlib
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Sequence
from importlib import import_module

from gpt2_small.checker import exercise_sets
from gpt2_small.checker.claims import Claim
from gpt2_small.checker.sandbox import child
from gpt2_small.checker.sandbox.limits import (
    TimeLimit,
    adopt_orphans,
    confine_signals,
    drop_privileges_of_root,
    end_all_children,
    end_with_parent,
    limit_memory,
)
from gpt2_small.checker.sandbox.messages import read_frame, write_frame
from gpt2_small.checker.sandbox.task import ChildTask
from gpt2_small.errors import UserError

FORK, END = b"fork", b"end"
_WORDS = 300


def serve(judge: socket.socket, judge_process: int) -> None:
    """Answer the judge until it ends.

    judge_process: its id; every other child of this process belongs to a file.

    FORK with a task's three messages returns the child's process id and three descriptors: of its
    messages, its output, and its last traceback. END with an id ends the child and returns its
    status.
    """
    adopt_orphans()
    while (order := read_frame(judge.fileno())) is not None:
        if order == FORK:
            messages = [read_frame(judge.fileno()) or b"" for _ in range(3)]
            task = ChildTask.unpacked(*messages)
            import_ahead(task)
            process, descriptors = fork(task)
            socket.send_fds(judge, [process.to_bytes(8, "little")], descriptors)
            for descriptor in descriptors:
                os.close(descriptor)
        else:
            process = int.from_bytes(read_frame(judge.fileno()) or b"", "little")
            write_frame(judge.fileno(), ended(process, judge_process).to_bytes(8, "little"))


def import_ahead(task: ChildTask) -> None:
    """Import the modules of a task's claims once for all later children."""
    if task.work == "look":
        claims = exercise_sets.find(task.exercises).claims(task.parts[-1])
        import_for([claims[number] for number in task.claims])


def import_for(claims: Sequence[Claim]) -> None:
    """Import these claims' slow modules."""
    for name in {name for claim in claims for name in claim.imports}:
        import_module(name)


def fork(task: ChildTask) -> tuple[int, Sequence[int]]:
    """Start a child; returns its id and descriptors."""
    receiver, sender = os.pipe()
    with tempfile.TemporaryFile() as printed, tempfile.TemporaryFile() as trace:
        process = os.fork()
        if process == 0:
            _be_the_child(task, sender, printed.fileno(), trace.fileno())
        os.close(sender)
        return process, (receiver, os.dup(printed.fileno()), os.dup(trace.fileno()))


def ended(process: int, judge_process: int) -> int:
    """End a child and its processes; returns its status as from `os.waitpid`."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process, signal.SIGKILL)
    end_all_children(spared=judge_process)
    return status


def _be_the_child(task: ChildTask, sender: int, printed: int, trace: int) -> None:
    """Execute the task in this process, and exit."""
    words = None
    try:
        os.setsid()
        end_with_parent()
        kept = os.dup(sender), os.dup(trace)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(printed, 1)
        os.dup2(printed, 2)
        for descriptor in range(3, max(*kept, 2) + 64):
            if descriptor not in kept:
                with contextlib.suppress(OSError):
                    os.close(descriptor)
        sys.stdin = open(0, closefd=False)  # noqa: SIM115
        sys.stdout = open(1, "w", buffering=1, errors="replace", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", buffering=1, errors="replace", closefd=False)  # noqa: SIM115
        limit_memory(task.limits.memory)
        drop_privileges_of_root()
        confine_signals()
        words = os.fdopen(kept[1], "w")
        child.work(task, kept[0], TimeLimit(words))
    except BaseException as error:
        with contextlib.suppress(BaseException):
            assert words is not None
            kind = (
                "an error when run again" if isinstance(error, UserError) else type(error).__name__
            )
            words.write(f"{kind}: {str(error)[:_WORDS]}\n")
            words.flush()
        child.end(1)
    child.end(0)
