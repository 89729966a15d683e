"""A file from the network, or an error within a time limit."""

import queue
import threading
import urllib.request

NETWORK_SECONDS = 20.0


def download(url: str, *, seconds: float = NETWORK_SECONDS) -> bytes:
    """What `url` returns.

    Looking up a name has no time limit of its own, so it is done beside.

    Raises:
        OSError: it cannot be reached, or not within `seconds`.
    """
    answer: queue.SimpleQueue[bytes | Exception] = queue.SimpleQueue()

    def get() -> None:
        try:
            with urllib.request.urlopen(url, timeout=seconds) as response:
                answer.put(response.read())
        except Exception as error:
            answer.put(error)

    threading.Thread(target=get, daemon=True).start()
    try:
        data = answer.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"no answer within {seconds:.0f} seconds") from None
    if isinstance(data, Exception):
        raise OSError(str(data)) from data
    return data
