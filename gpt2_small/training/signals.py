"""Being asked to stop: by Ctrl-C, by a scheduler, by torchrun."""

import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Thread

import torch.distributed as dist

SIGNALS = (signal.SIGINT, signal.SIGTERM)
# torchrun passes on the signal that its whole group got, a moment after the worker got it itself.
ECHO_SECONDS = 2.0
SHOW_CURSOR = b"\x1b[?25h"


class StopRequest:
    """Whether somebody asked to stop."""

    def __init__(self) -> None:
        self._is_made = False

    def __call__(self) -> bool:
        return self._is_made

    def make(self) -> None:
        """Ask to stop."""
        self._is_made = True


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Within the context, a first SIGINT or SIGTERM asks to stop; a second one ends the process.

    A thread listens, so that a process that waits for another can be ended too. The second ends it
    at once, with exit code 128 and the signal's number. The first is heard by the main thread as
    well, which may come back from its waiting before the listener has had its turn.
    """
    request = StopRequest()
    heard, told = socket.socketpair()
    told.setblocking(False)
    before = {number: signal.signal(number, lambda *_: request.make()) for number in SIGNALS}
    wakeup_before = signal.set_wakeup_fd(told.fileno(), warn_on_full_buffer=False)
    Thread(target=_listen, args=(heard, request), daemon=True).start()
    try:
        yield request
    finally:
        signal.set_wakeup_fd(wakeup_before)
        for number, handler in before.items():
            signal.signal(number, handler)
        told.close()


def _listen(heard: socket.socket, request: StopRequest) -> None:
    echo = ECHO_SECONDS if dist.is_torchelastic_launched() else 0.0
    asked_at = None
    with heard:
        while number := heard.recv(1):
            if number[0] not in SIGNALS:
                continue
            if asked_at is None:
                asked_at = time.monotonic()
                request.make()
            elif time.monotonic() - asked_at >= echo:
                _show_cursor()
                os._exit(128 + number[0])


def _show_cursor() -> None:
    """A live line hides the terminal's cursor, and at once means without putting it back."""
    for output in (1, 2):
        with suppress(OSError):
            if os.isatty(output):
                os.write(output, SHOW_CURSOR)
