"""Read key presses one by one, without waiting for Enter."""

import contextlib
import os
import select
import sys
import time
from types import TracebackType


class NoKeys:
    """A keyboard without keys, for use without a terminal."""

    def __enter__(self) -> "NoKeys":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def read(self, seconds: float) -> str:
        """Sleep; returns an empty key."""
        time.sleep(seconds)
        return ""


class Keys:
    """The terminal's keyboard; a context manager that restores the terminal."""

    def __enter__(self) -> "Keys":
        import termios
        import tty

        self._descriptor = sys.stdin.fileno()
        self._before = termios.tcgetattr(self._descriptor)
        tty.setcbreak(self._descriptor)
        return self

    def __exit__(
        self, _type: type | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        import termios

        with contextlib.suppress(termios.error):
            termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._before)

    def read(self, seconds: float) -> str:
        """The key pressed within a time limit, or an empty string; "q" at the end of the input."""
        ready, _, _ = select.select([self._descriptor], [], [], seconds)
        if not ready:
            return ""
        try:
            pressed = os.read(self._descriptor, 1)
        except OSError:
            return "q"
        return pressed.decode(errors="replace") if pressed else "q"
