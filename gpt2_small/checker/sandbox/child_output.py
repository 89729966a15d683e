"""Read a forked child's messages, output and exit status, from the judge."""

import json
import os
import re
import signal
import socket
import time
from typing import Any

from gpt2_small.checker.sandbox.forker import END, FORK
from gpt2_small.checker.sandbox.messages import access_in, read_frame, write_frame
from gpt2_small.checker.sandbox.task import ChildTask, Limits

# Seconds to wait for a child beyond its own limits, which end it with a traceback.
_GRACE = 2.0
_PRINTED = 4000
# Larger than any claim's observation.
_LARGEST = 64 << 20
_SENTENCE = 600
_MOST_ACCESSES = 100


class ForkedChild:
    """A child that executes a task."""

    def __init__(self, forker: socket.socket, task: ChildTask) -> None:
        self._forker = forker
        self.task = task
        self.status: int | None = None
        self.accesses: list[str] = []
        for message in (FORK, *task.packed()):
            write_frame(forker.fileno(), message)
        answer, (self._frames, self._printed, self._trace), *_ = socket.recv_fds(forker, 8, 3)
        self.process = int.from_bytes(answer, "little")

    def read(self, wall_seconds: float) -> dict[str, Any] | None:
        """The next message; None if the child has ended. Raises TimeoutError after the limit.

        Raises ValueError for invalid bytes.
        """
        frame = self.read_bytes(wall_seconds)
        if frame is None:
            return None
        try:
            message = json.loads(frame)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error
        if not isinstance(message, dict):
            raise ValueError("not a message")
        return message

    def read_bytes(self, wall_seconds: float) -> bytes | None:
        """The next message's bytes; messages about accesses go to `accesses`."""
        deadline = time.monotonic() + wall_seconds + _GRACE
        try:
            while (frame := read_frame(self._frames, deadline, _LARGEST)) is not None:
                access = access_in(frame)
                if access is None:
                    return frame
                if len(self.accesses) < _MOST_ACCESSES:
                    self.accesses.append(access)
        except TimeoutError:
            self.end()
            raise
        return None

    def end(self) -> None:
        """End the child and its processes."""
        if self.status is None:
            write_frame(self._forker.fileno(), END)
            write_frame(self._forker.fileno(), self.process.to_bytes(8, "little"))
            self.status = int.from_bytes(read_frame(self._forker.fileno()) or b"", "little")
            os.close(self._frames)

    def close(self) -> None:
        """End the child and delete its output."""
        self.end()
        os.close(self._printed)
        os.close(self._trace)

    def last_words(self) -> str:
        """The traceback written at a limit or crash."""
        return os.pread(self._trace, 1 << 16, 0).decode(errors="replace")

    def prints(self) -> str:
        """The end of its output, and the number of omitted characters."""
        size = os.fstat(self._printed).st_size
        start = max(0, size - _PRINTED)
        last = os.pread(self._printed, _PRINTED, start).decode(errors="replace")
        if start:
            last = last.partition("\n")[2] or last
        return f"[{start} characters before]\n{last}" if start else last

    def line(self) -> int | None:
        """The innermost line of the file in the traceback, if it is the file's."""
        places = re.findall(r'File "(.*)", line (\d+)', self.last_words())
        here = str(self.task.path.absolute())
        return next((int(line) for file, line in places if file == here), None)

    def how_it_ended(self, seconds: float) -> str:
        """Explain why the child ended, in a sentence.

        seconds: its limit of processor time.
        """
        words = self.last_words()
        if self.status is None or "Timeout (" in words:
            longest = max(self.task.limits.wall_seconds, seconds)
            return f"it did not finish within {longest:g} seconds of waiting"
        if os.WIFSIGNALED(self.status):
            return _ended_by(os.WTERMSIG(self.status), seconds)
        code = os.WEXITSTATUS(self.status)
        if "MemoryError" in words or "bad_alloc" in words:
            return f"it needs more memory than {in_gigabytes(self.task.limits)}"
        if words:
            return f"it ends with {words.splitlines()[-1].rstrip(': ')}"[:_SENTENCE]
        return f"it ends the Python process (os._exit, code {code})"


def _ended_by(number: int, seconds: float) -> str:
    if number == signal.SIGPROF:
        return f"it did not finish within {seconds:g} seconds"
    if number == signal.SIGKILL:
        return f"it did not finish within {seconds:g} seconds, or took all memory, and was ended"
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    return f"it crashes the Python interpreter ({name})"


def in_gigabytes(limits: Limits) -> str:
    """The memory limit as text."""
    return f"the {limits.memory / (1 << 30):g} GiB that a part may take"
