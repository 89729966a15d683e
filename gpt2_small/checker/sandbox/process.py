"""A forked process with limits: what it may use, what it sends, how it ended."""

import contextlib
import faulthandler
import json
import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from gpt2_small.checker.sandbox.messages import read_frame

_GRACE = 2.0
_PRINTED = 4000
_LARGEST_FILE = 64 << 20


@dataclass(frozen=True)
class Task:
    """A file's text, and what it may use."""

    path: Path
    source: bytes
    seed: int
    seconds: float
    loading_seconds: float
    memory: int


class Process:
    """A forked child: a pipe from it, and the files of what it prints and of its last trace."""

    def __init__(self, work: Callable[[int], None], task: Task) -> None:
        self.printed: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115
        self.trace: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115
        self.frames, sender = os.pipe()
        self.status: int | None = None
        self.process = os.fork()
        if self.process == 0:
            _be_the_child(work, task, sender, self)
        os.close(sender)

    def read(self, seconds: float) -> dict[str, Any] | None:
        """The next message; None when the child has ended. Raises TimeoutError after a while."""
        try:
            frame = read_frame(self.frames, time.monotonic() + seconds + _GRACE)
        except TimeoutError:
            self.end()
            raise
        return None if frame is None else json.loads(frame)

    def read_bytes(self, seconds: float) -> bytes:
        return read_frame(self.frames, time.monotonic() + seconds + _GRACE) or b""

    def end(self) -> None:
        """End the child and whatever it started."""
        if self.status is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process, signal.SIGKILL)
            _, self.status = os.waitpid(self.process, 0)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process, signal.SIGKILL)
            os.close(self.frames)

    def last_words(self) -> str:
        """The trace that was written when it was stopped or crashed."""
        self.trace.seek(0)
        return self.trace.read(1 << 16).decode(errors="replace")

    def prints(self) -> str:
        """The beginning of what it printed."""
        self.printed.seek(0)
        return self.printed.read(_PRINTED).decode(errors="replace")


def _be_the_child(work: Callable[[int], None], task: Task, sender: int, process: Process) -> None:
    """Do the work as a process of its own, and never come back."""
    try:
        os.setsid()
        kept = os.dup(sender), os.dup(process.trace.fileno())
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(process.printed.fileno(), 1)
        os.dup2(process.printed.fileno(), 2)
        top = max(*kept, 2)
        for descriptor in range(3, top + 64):
            if descriptor not in kept:
                with contextlib.suppress(OSError):
                    os.close(descriptor)
        sys.stdin = open(0, closefd=False)  # noqa: SIM115
        sys.stdout = open(1, "w", buffering=1, errors="replace", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", buffering=1, errors="replace", closefd=False)  # noqa: SIM115
        _limit_memory(task.memory)
        trace = os.fdopen(kept[1], "w")
        faulthandler.enable(trace, all_threads=False)
        _STOPWATCH.append(trace)
        work(kept[0])
    except BaseException as error:
        with contextlib.suppress(BaseException):
            _STOPWATCH[0].write(f"{type(error).__name__}: {error}\n")
            _STOPWATCH[0].flush()
        os._exit(1)
    os._exit(0)


_STOPWATCH: list[Any] = []


def stop_after(seconds: float) -> None:
    """End this process with a trace unless it is called again within so many seconds."""
    faulthandler.dump_traceback_later(seconds, exit=True, file=_STOPWATCH[0])


def _limit_memory(extra: int) -> None:
    """Let this process have so much more address space than it has now, where that can be said."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * os.sysconf("SC_PAGE_SIZE") + extra
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        resource.setrlimit(resource.RLIMIT_FSIZE, (_LARGEST_FILE, _LARGEST_FILE))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def how_it_ended(process: Process, seconds: float) -> str:
    """Why a child ended, as a sentence."""
    words = process.last_words()
    if "Timeout (" in words or process.status is None:
        return f"it did not finish within {seconds:g} seconds"
    if os.WIFSIGNALED(process.status):
        number = os.WTERMSIG(process.status)
        if number == signal.SIGKILL:
            return (
                f"it did not finish within {seconds:g} seconds, or took all memory, and was ended"
            )
        return f"it crashes the Python interpreter ({signal.Signals(number).name})"
    code = os.WEXITSTATUS(process.status)
    if "MemoryError" in words or "bad_alloc" in words:
        return "it needs more memory than it may have"
    if words:
        return f"it ends with {words.splitlines()[-1].rstrip(': ')}"
    return f"it ends the Python process (os._exit, code {code})"


def line_of(task: Task, trace: str) -> int | None:
    """The innermost line of the file in a trace of faulthandler, where that comes first."""
    places = re.findall(r'File "(.*)", line (\d+)', trace)
    here = str(task.path.absolute())
    return next((int(line) for file, line in places if file == here), None)
