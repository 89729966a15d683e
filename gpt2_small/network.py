"""Ask the network within a time limit, so that Ctrl-C is answered at once."""

import queue
import threading
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

NETWORK_SECONDS = 20.0
THREAD = "asking the network"

Answer = TypeVar("Answer")


def within(seconds: float | None, ask: Callable[[], Answer]) -> Answer:
    """Run `ask` in a thread of its own, which Ctrl-C leaves behind; its result or exception.

    Looking up a name has no time limit of its own, clients try again for minutes, and those that
    download with several threads, or in native code, answer Ctrl-C only at the end.

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
    """The items, each taken as by `within`: while the next one is downloaded, Ctrl-C is answered.

    Nothing is taken ahead.
    """
    iterator, end = iter(items), object()
    while (item := within(None, lambda: next(iterator, end))) is not end:
        yield item  # type: ignore[misc]


def is_being_asked() -> bool:
    """Whether a question is still unanswered, although nobody waits for its answer any more."""
    return any(thread.name == THREAD for thread in threading.enumerate())


def download(url: str, *, seconds: float | None = None) -> bytes:
    """Download `url`, within NETWORK_SECONDS by default.

    Raises:
        OSError: it cannot be reached, or not in time.
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
