"""Check a file in background threads, part by part, while it is edited."""

import contextlib
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue

from gpt2_small.checker.sandbox.client import Checker
from gpt2_small.checker.verdict import Result, Verdict
from gpt2_small.errors import UserError

# After this time a second checker is warmed, because the check may use its full limit.
_LONG = 2.0


@dataclass(frozen=True)
class CheckMessage:
    """A message about one version of the file.

    number: the request's number.
    parts: the parts checked together.
    found: a single result, or the final verdict.
    """

    number: int
    parts: Sequence[str]
    found: Result | Verdict


class BackgroundCheck:
    """Serves the latest request, one group of parts after another, with a warm checker."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._news: SimpleQueue[CheckMessage] = SimpleQueue()
        self._bench = _CheckThread(path, self._news)
        self._spare: _CheckThread | None = None
        self._number = 0

    def ask(self, groups: Sequence[Sequence[str]]) -> int:
        """Replace the request by these groups of parts; returns the request's number."""
        self._number += 1
        if self._bench.is_stuck():
            self._bench.stop()
            self._bench, self._spare = self._spare or _CheckThread(self._path, self._news), None
        self._bench.ask(self._number, groups)
        return self._number

    def news(self) -> list[CheckMessage]:
        """The latest request's messages since the last call."""
        if self._bench.is_stuck() and self._spare is None:
            self._spare = _CheckThread(self._path, self._news)
        found = []
        with contextlib.suppress(Empty):
            while True:
                found.append(self._news.get_nowait())
        return [news for news in found if news.number == self._number]

    def is_busy(self) -> bool:
        """Whether the latest request is unfinished."""
        return self._bench.is_busy()

    def stop(self) -> None:
        """End the checkers."""
        for bench in filter(None, [self._bench, self._spare]):
            bench.stop()
        self._bench.join()


class _CheckThread:
    """A checker's thread."""

    def __init__(self, path: Path, news: SimpleQueue[CheckMessage]) -> None:
        self._path, self._news = path, news
        self._wanted: tuple[int, list[Sequence[str]]] = (0, [])
        self._change = threading.Condition()
        self._stopped = False
        self._since: float | None = None
        self._is_warm = False
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def ask(self, number: int, groups: Sequence[Sequence[str]]) -> None:
        with self._change:
            self._wanted = number, list(groups)
            self._change.notify()

    def stop(self) -> None:
        with self._change:
            self._stopped = True
            self._change.notify()

    def join(self) -> None:
        """Wait briefly for the checker to end."""
        self._thread.join(timeout=1)

    def is_busy(self) -> bool:
        return self._since is not None or bool(self._wanted[1])

    def is_stuck(self) -> bool:
        since = self._since
        return self._is_warm and since is not None and time.monotonic() - since > _LONG

    def _work(self) -> None:
        with Checker() as checker:
            checker.warm()
            while (task := self._next()) is not None:
                number, parts = task
                try:
                    self._check(checker, number, parts)
                except UserError:
                    continue  # SavedFile reports that the file is gone
                finally:
                    self._since, self._is_warm = None, True

    def _next(self) -> tuple[int, Sequence[str]] | None:
        """Wait for the next group; None to end."""
        with self._change:
            while not self._stopped and not self._wanted[1]:
                self._change.wait()
            if self._stopped:
                return None
            number, groups = self._wanted
            self._since = time.monotonic()
            return number, groups.pop(0)

    def _check(self, checker: Checker, number: int, parts: Sequence[str]) -> None:
        def tell(result: Result) -> None:
            self._news.put(CheckMessage(number, parts, result))

        verdict = checker.check(self._path, parts, on_result=tell)
        if verdict.error is not None:
            with self._change:
                if self._wanted[0] == number:
                    self._wanted = number, []
        self._news.put(CheckMessage(number, parts, verdict))
