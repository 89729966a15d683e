"""Send network requests with a time limit, so that Ctrl-C takes effect at once."""

import queue
import threading
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

NETWORK_SECONDS = 20.0
THREAD = "network request"

Answer = TypeVar("Answer")


def within(seconds: float | None, ask: Callable[[], Answer]) -> Answer:
    """Run `ask` in a daemon thread, which Ctrl-C abandons; return its result or raise its error.

    Name resolution has no time limit, clients retry for minutes, and downloads in threads or
    native code react to Ctrl-C only at their end.

    Args:
        seconds: the time limit; None for none.

    Raises:
        TimeoutError: there is no answer within `seconds`.
    """
    answers: queue.SimpleQueue[tuple[Answer | None, Exception | None]] = queue.SimpleQueue()

    def answer() -> None:
        try:
            answers.put((ask(), None))
        except Exception as error:
            answers.put((None, error))

    threading.Thread(target=answer, name=THREAD, daemon=True).start()
    try:
        result, error = answers.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"no answer within {seconds or 0:.0f} seconds") from None
    if error is not None:
        raise error
    return result  # type: ignore[return-value]


def interruptible(items: Iterable[Answer]) -> Iterator[Answer]:
    """The items, each fetched by `within`, so that Ctrl-C interrupts the download of the next.

    Nothing is prefetched.
    """
    iterator, end = iter(items), object()
    while (item := within(None, lambda: next(iterator, end))) is not end:
        yield item  # type: ignore[misc]


def is_waiting() -> bool:
    """Whether an abandoned request is still running."""
    return any(thread.name == THREAD for thread in threading.enumerate())


def download(url: str, *, seconds: float | None = None) -> bytes:
    """Download `url`, within NETWORK_SECONDS by default.

    Raises:
        OSError: the address cannot be reached in time.
    """
    limit = NETWORK_SECONDS if seconds is None else seconds

    def get() -> bytes:
        with urllib.request.urlopen(url, timeout=limit) as response:
            return bytes(response.read())

    try:
        return within(limit, get)
    except OSError:
        raise
    except Exception as error:
        raise OSError(str(error)) from error
