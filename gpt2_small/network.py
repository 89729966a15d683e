"""Send network requests with a time limit, so that Ctrl-C takes effect at once."""

import threading
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from itertools import islice
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
    answer: Future[Answer] = Future()

    def run() -> None:
        try:
            answer.set_result(ask())
        except BaseException as error:  # a panic of native code is not an Exception
            answer.set_exception(error)

    threading.Thread(target=run, name=THREAD, daemon=True).start()
    try:
        return answer.result(timeout=seconds)
    except TimeoutError:
        if answer.done():  # its own error
            raise
        raise TimeoutError(f"no answer within {seconds or 0:.0f} seconds") from None


def interruptible(items: Iterable[Answer]) -> Iterator[Answer]:
    """The items, each fetched by `within`, so that Ctrl-C interrupts the download of the next.

    Nothing is prefetched.
    """
    iterator = iter(items)
    while found := within(None, lambda: list(islice(iterator, 1))):
        yield found[0]


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
