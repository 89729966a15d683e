"""Write to standard output safely: survive a closed output and characters it lacks."""

import io
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import IO, cast

from rich.console import Console


class LastingOutput(io.TextIOBase):
    """Standard output whose loss (a broken pipe, a closed terminal) raises no error.

    After the loss, text is discarded.

    on_loss: called once, at the loss.
    """

    def __init__(self, on_loss: Callable[[], object] = lambda: None) -> None:
        self.on_loss = on_loss
        self.is_lost = False
        self._stream = sys.stdout  # rich's live display replaces sys.stdout later

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
        # Buffered text goes to the null device, so that flushing it at exit does not fail.
        with suppress(OSError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._stream.fileno())
            os.close(null)
        self.on_loss()


def run_console(*, quiet: bool = False) -> Console:
    """A console for a run, whose `file` is a LastingOutput; its `on_loss` may be set."""
    return Console(file=cast(IO[str], LastingOutput()), quiet=quiet)
