"""Write a run's screen to an output that may be gone or lack a character."""

import io
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import IO, cast

from rich.console import Console


class LastingOutput(io.TextIOBase):
    """Standard output, whose loss is reported once and harms nothing.

    A reader that is gone (a broken pipe, a closed terminal) makes it write nowhere from then on.

    on_loss: called when the output is lost.
    """

    def __init__(self, on_loss: Callable[[], object] = lambda: None) -> None:
        self.on_loss = on_loss
        self.is_lost = False
        self._stream = sys.stdout  # a live line replaces it meanwhile

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding or "utf-8"

    def isatty(self) -> bool:
        return not self.is_lost and self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()

    def write(self, text: str) -> int:
        if not self.is_lost:
            try:
                self._stream.write(text)
            except UnicodeEncodeError as error:
                self._stream.write(text.encode(error.encoding, "replace").decode(error.encoding))
            except OSError:
                self._lose()
        return len(text)

    def flush(self) -> None:
        if not self.is_lost:
            try:
                self._stream.flush()
            except OSError:
                self._lose()

    def _lose(self) -> None:
        self.is_lost = True
        # Text that is still buffered goes to the null device, so that it does not fail at exit.
        with suppress(OSError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._stream.fileno())
            os.close(null)
        self.on_loss()


def run_console(*, quiet: bool = False) -> Console:
    """A console for a run. Its output is `console.file`, whose `on_loss` may be set."""
    return Console(file=cast(IO[str], LastingOutput()), quiet=quiet)
