"""What the network gives, or an error, within a time limit."""

import queue
import threading
import urllib.request
from collections.abc import Callable
from typing import TypeVar

NETWORK_SECONDS = 20.0

Answer = TypeVar("Answer")


def within(seconds: float, ask: Callable[[], Answer]) -> Answer:
    """What `ask` returns or raises.

    Looking up a name has no time limit of its own, and clients try again for minutes, so it is
    asked beside.

    Raises:
        TimeoutError: there is no answer within `seconds`.
    """
    answers: queue.SimpleQueue[tuple[Answer | None, Exception | None]] = queue.SimpleQueue()

    def answer() -> None:
        try:
            answers.put((ask(), None))
        except Exception as error:
            answers.put((None, error))

    threading.Thread(target=answer, daemon=True).start()
    try:
        result, error = answers.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"no answer within {seconds:.0f} seconds") from None
    if error is not None:
        raise error
    return result  # type: ignore[return-value]


def download(url: str, *, seconds: float | None = None) -> bytes:
    """What `url` returns, within NETWORK_SECONDS if nothing else is said.

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
