"""Run model work in one thread, in turns, so that several users are served side by side."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any

from gpt2_small.errors import UserError

MOST_JOBS = 16
MOST_SECONDS = 600.0
# A reader who does not keep up holds back the writing after so many items.
MOST_UNREAD = 512
# Items that come within so many seconds travel together.
GATHERING_SECONDS = 0.02

Work = Generator[Any, None, None]


class TooBusy(UserError):
    """There are as many requests at work as may be."""


class Job:
    """Work that yields items, which `batches` reads; None only ends a turn.

    is_over: whether it has ended; `error`: the exception that ended it, if any.
    """

    def __init__(self, work: Work, loop: asyncio.AbstractEventLoop, resume: Callable[[], None]):
        self.is_over = False
        self.is_cancelled = False
        self.error: Exception | None = None
        self._work = work
        self._loop = loop
        self._resume = resume
        self._unread: list[Any] = []
        self._has_news = asyncio.Event()
        self._is_told = False
        self._ends_at = time.monotonic() + MOST_SECONDS

    def turn(self) -> None:
        """Run until the next item. Called in the working thread."""
        try:
            if time.monotonic() > self._ends_at:
                raise UserError(f"this took more than {MOST_SECONDS:.0f} seconds; ask for less")
            item = next(self._work)
        except StopIteration:
            self._end()
        except Exception as error:
            self._end(error)
        else:
            if item is not None:
                self._unread.append(item)
                self._tell()

    def cancel(self) -> None:
        """Let the job end before its next turn."""
        self.is_cancelled = True
        self._resume()

    def discard(self) -> None:
        """End a cancelled job. Called in the working thread."""
        self._work.close()
        self._end()

    def is_held_back(self) -> bool:
        """True when the job waits for its reader."""
        return len(self._unread) >= MOST_UNREAD and not self.is_cancelled

    async def batches(self) -> AsyncIterator[list[Any]]:
        """The items as they come, several at a time. Raises the work's exception."""
        while True:
            await self._has_news.wait()
            self._has_news.clear()
            was_held_back = self.is_held_back()
            items, self._unread = self._unread, []
            self._is_told = False
            if was_held_back:
                self._resume()
            if items:
                yield items
            if self.is_over and not self._unread:
                if self.error is not None:
                    raise self.error
                return
            if not self.is_over:
                await asyncio.sleep(GATHERING_SECONDS)

    def _end(self, error: Exception | None = None) -> None:
        self.error = error
        self.is_over = True
        self._tell(always=True)

    def _tell(self, always: bool = False) -> None:
        if self._is_told and not always:
            return
        self._is_told = True
        try:
            self._loop.call_soon_threadsafe(self._has_news.set)
        except RuntimeError:  # the event loop is closed: nobody reads any more
            self.is_cancelled = True


class Turns:
    """One thread that gives every job a turn after the other.

    Everything that runs a model goes through here: models, caches and torch are used by one thread.

    active: how many jobs are at work.
    """

    def __init__(self) -> None:
        self._jobs: deque[Job] = deque()
        self._change = threading.Condition()
        self.active = 0
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)
        self._thread.start()

    @contextmanager
    def start(self, work: Iterator[Any]) -> Iterator[Job]:
        """Give work its turns while the context lasts; leaving it cancels the rest.

        Raises TooBusy when MOST_JOBS are at work.
        """
        if self.active >= MOST_JOBS or self._is_closed:
            raise TooBusy(f"{self.active} requests are running already; try again in a moment")
        job = Job(_generator(work), asyncio.get_running_loop(), self._wake)
        self.active += 1
        with self._change:
            self._jobs.append(job)
            self._change.notify()
        try:
            yield job
        finally:
            self.active -= 1
            job.cancel()

    async def result(self, work: Callable[[], Any] | Iterator[Any]) -> Any:
        """The result of a function, or the last item of work that takes several turns."""
        found = None
        with self.start(_one_turn(work) if callable(work) else work) as job:
            async for items in job.batches():
                found = items[-1]
        return found

    def cancel_all(self) -> None:
        """Take no more jobs, and end those that are at work after their turn."""
        with self._change:
            self._is_closed = True
            self._change.notify()

    def close(self, seconds: float = 2.0) -> bool:
        """End all jobs; whether the thread ended within this time."""
        self.cancel_all()
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _wake(self) -> None:
        with self._change:
            self._change.notify()

    def _run(self) -> None:
        while (job := self._next()) is not None:
            if job.is_cancelled:
                job.discard()
                continue
            job.turn()
            if not job.is_over:
                with self._change:
                    self._jobs.append(job)
        for job in self._jobs:
            job.discard()

    def _next(self) -> Job | None:
        """The job whose turn it is; None at the end."""
        with self._change:
            while not self._is_closed:
                for _ in range(len(self._jobs)):
                    job = self._jobs.popleft()
                    if not job.is_held_back():
                        return job
                    self._jobs.append(job)
                self._change.wait()
        return None


def _generator(work: Iterator[Any]) -> Work:
    yield from work


def _one_turn(function: Callable[[], Any]) -> Iterator[Any]:
    yield function()
