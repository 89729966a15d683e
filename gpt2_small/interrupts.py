"""Exit without a traceback on Ctrl-C while libraries are being imported."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading() -> Iterator[None]:
    """In this context, Ctrl-C ends the process without a message.

    Python's default, a KeyboardInterrupt inside an import, prints a traceback, or is caught by the
    library and lost. A process that ignores or handles SIGINT keeps its handler, and in threads
    other than the main one nothing changes.
    """
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
