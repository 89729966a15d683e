"""Stop gracefully on signals: Ctrl-C, SIGTERM and SIGHUP, or an output that is gone."""

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Thread

import torch.distributed as dist

# Windows has no SIGHUP.
SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
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
def stop_on_signals(
    request: StopRequest | None = None, answer: Callable[[], object] = lambda: None
) -> Iterator[StopRequest]:
    """Within the context, a first signal asks to stop; a second one ends the process.

    A thread listens, so that a process that waits for another can be ended too. The second ends it
    at once, with exit code 128 and the signal's number. The first is also handled by the main
    thread, which may return from its waiting before the listener has run. A signal that the process
    ignored before (SIGHUP under nohup) is still ignored.

    answer: called by the listener at the first signal, at once.
    """
    request = request or StopRequest()
    receiver, sender = socket.socketpair()
    sender.setblocking(False)
    handled = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, lambda *_: request.make()) for number in handled}
    wakeup_before = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
    Thread(target=_listen, args=(receiver, request, answer, handled), daemon=True).start()
    try:
        yield request
    finally:
        signal.set_wakeup_fd(wakeup_before)
        for number, handler in before.items():
            signal.signal(number, handler)
        sender.close()


def _listen(
    receiver: socket.socket,
    request: StopRequest,
    answer: Callable[[], object],
    handled: list[signal.Signals],
) -> None:
    echo = ECHO_SECONDS if dist.is_torchelastic_launched() else 0.0
    asked_at = None
    with receiver:
        while number := receiver.recv(1):
            if number[0] not in handled:
                continue
            if asked_at is None:
                asked_at = time.monotonic()
                request.make()
                with suppress(Exception):  # whatever becomes of the answer, the run must stop
                    answer()
            elif time.monotonic() - asked_at >= echo:
                _show_cursor()
                os._exit(128 + number[0])


def _show_cursor() -> None:
    """Show the terminal's cursor, which a live line hides."""
    for output in (1, 2):
        with suppress(OSError):
            if os.isatty(output):
                os.write(output, SHOW_CURSOR)
