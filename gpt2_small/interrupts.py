"""End quietly on Ctrl-C while libraries are being imported."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading() -> Iterator[None]:
    """While libraries are imported in this context, Ctrl-C ends the process, without a word.

    Python's own way, an exception in the middle of somebody's import, prints a traceback, or is
    caught by that library and lost. A process that ignores interrupts, or handles them in a way of
    its own, goes on doing so, and threads other than the main one have no say in it.
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
