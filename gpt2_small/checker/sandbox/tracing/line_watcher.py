"""Record a file's executed lines, and the numbers that they assign to variables."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import torch

from gpt2_small.checker.sandbox.tracing.trace import Effect

OWN_GENERATOR = "a generator of its own"
NAMED = "= "
_MOST = 4000


@contextmanager
def watching_lines(
    file: str,
    effects: list[Effect] | None = None,
    *,
    given: torch.Generator | None = None,
    lines: list[int] | None = None,
    after: Callable[[int], None] | None = None,
) -> Iterator[None]:
    """In this context, record a file's executed lines.

    effects: receives numbers with their variable's name, and generators other than the given one.
    lines: receives the lines. after: called with every line after its execution.
    """
    watcher = _Watcher(file, effects, given, lines, after)
    before = sys.gettrace()
    sys.settrace(watcher.entered)
    try:
        yield
    finally:
        sys.settrace(before)


class _Watcher:
    def __init__(
        self,
        file: str,
        effects: list[Effect] | None,
        given: torch.Generator | None,
        lines: list[int] | None,
        after: Callable[[int], None] | None,
    ) -> None:
        self._file, self._effects, self._given = file, effects, given
        self._lines, self._after = lines, after
        self._line: dict[int, int] = {}
        self._held: dict[tuple[int, str], Any] = {}
        self._latest: int | None = None

    def entered(self, frame: FrameType, _event: str, _argument: Any) -> Any:
        if frame.f_code.co_filename != self._file:
            return None
        self._note_all(frame, is_new=True)
        return self._at_line

    def _at_line(self, frame: FrameType, event: str, _argument: Any) -> Any:
        if event not in ("line", "return"):
            return self._at_line
        if self._latest is not None and self._after is not None:
            self._after(self._latest)
        line = self._line.get(id(frame))
        if line is not None:
            self._note_all(frame, line)
        if event == "line":
            self._latest = self._line[id(frame)] = frame.f_lineno
            if self._lines is not None and len(self._lines) < _MOST:
                self._lines.append(frame.f_lineno)
        else:
            self._line.pop(id(frame), None)
        return self._at_line

    def _note_all(self, frame: FrameType, line: int = 0, is_new: bool = False) -> None:
        """Record the local variables with new values."""
        if self._effects is None or len(self._effects) >= _MOST:
            return
        for name, value in frame.f_locals.items():
            if not isinstance(value, (int, float, torch.Generator)) or isinstance(value, bool):
                continue
            if self._held.get((id(frame), name)) is value and not is_new:
                continue
            self._held[id(frame), name] = value
            if is_new:
                continue
            if not isinstance(value, torch.Generator):
                self._effects.append(Effect(line, NAMED + name, (float(value),)))
            elif value is not self._given:
                self._effects.append(Effect(line, OWN_GENERATOR))
