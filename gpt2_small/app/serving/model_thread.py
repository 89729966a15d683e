"""Run model work of several requests in one thread, in turns."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from gpt2_small.errors import UserError

MOST_JOBS = 16
MOST_SECONDS = 600.0
# With so many unread items a job waits for its reader.
MOST_UNREAD = 512
# Items produced within so many seconds are sent together.
GATHERING_SECONDS = 0.02

Work = Generator[Any, None, None]


class TooBusy(UserError):
    """Too many requests are running."""


class Job:
    """Running work that yields items for `batches`; None ends a turn without an item.

    is_over: whether it ended; `error`: the exception that ended it, if any.
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
        self._is_notified = False
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
        except SystemExit:
            self._end(UserError("the model's code calls exit(); remove the call"))
        else:
            if item is not None:
                self._unread.append(item)
                self._notify()

    def cancel(self) -> None:
        """End the job before its next turn."""
        self.is_cancelled = True
        self._resume()

    def discard(self) -> None:
        """End a cancelled job. Called in the working thread."""
        with suppress(Exception):
            self._work.close()
        self._end()

    def is_held_back(self) -> bool:
        """Whether the job waits for its reader."""
        return len(self._unread) >= MOST_UNREAD and not self.is_cancelled

    async def batches(self) -> AsyncIterator[list[Any]]:
        """The items, several at a time. Raises the work's exception."""
        while True:
            await self._has_news.wait()
            self._has_news.clear()
            was_held_back = self.is_held_back()
            self._is_notified = False
            items, self._unread = self._unread, []
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
        self._notify(always=True)

    def _notify(self, always: bool = False) -> None:
        if self._is_notified and not always:
            return
        self._is_notified = True
        try:
            self._loop.call_soon_threadsafe(self._has_news.set)
        except RuntimeError:  # the event loop is closed, without readers
            self.is_cancelled = True


class ModelThread:
    """One thread that runs all jobs in turns.

    All model work runs here, so that models, caches and torch are used by a single thread.

    active: the number of running jobs.
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
        """In this context, run work in turns; leaving the context cancels it.

        Raises TooBusy when MOST_JOBS are running.
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
        """Run a function and return its result, or work and return its last item."""
        found = None
        with self.start(_one_turn(work) if callable(work) else work) as job:
            async for items in job.batches():
                found = items[-1]
        return found

    def cancel_all(self) -> None:
        """Accept no more jobs, and end running ones after their turn."""
        with self._change:
            self._is_closed = True
            self._change.notify()

    def close(self, seconds: float = 2.0) -> bool:
        """End all jobs; return whether the thread ended within this time."""
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
        """The next job; None at the end."""
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
