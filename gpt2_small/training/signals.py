"""Stop gracefully on signals: Ctrl-C, SIGTERM and SIGHUP."""

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
# torchrun forwards a signal of its process group to a worker that has already received it.
ECHO_SECONDS = 2.0
SHOW_CURSOR = b"\x1b[?25h"


class StopRequest:
    """Whether a stop was requested."""

    def __init__(self) -> None:
        self._is_made = False

    def __call__(self) -> bool:
        return self._is_made

    def make(self) -> None:
        """Request a stop."""
        self._is_made = True


@contextmanager
def stop_on_signals(
    request: StopRequest | None = None, acknowledge: Callable[[], object] = lambda: None
) -> Iterator[StopRequest]:
    """In this context, the first signal requests a stop; the second ends the process.

    A thread handles the signals, so that a process waiting for another worker can be ended too.
    The second signal ends the process at once, with exit code 128 plus the signal's number. The
    main thread handles the first signal as well, since it may continue before the thread runs. A
    signal that the process ignored before (SIGHUP under nohup) stays ignored.

    acknowledge: called by the thread at the first signal.
    """
    request = request or StopRequest()
    receiver, sender = socket.socketpair()
    sender.setblocking(False)
    handled = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, lambda *_: request.make()) for number in handled}
    wakeup_before = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
    Thread(target=_listen, args=(receiver, request, acknowledge, handled), daemon=True).start()
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
    acknowledge: Callable[[], object],
    handled: list[signal.Signals],
) -> None:
    echo = ECHO_SECONDS if dist.is_torchelastic_launched() else 0.0
    first_at = None
    with receiver:
        while number := receiver.recv(1):
            if number[0] not in handled:
                continue
            if first_at is None:
                first_at = time.monotonic()
                request.make()
                with suppress(Exception):  # the run must stop even if the screen fails
                    acknowledge()
            elif time.monotonic() - first_at >= echo:
                _show_cursor()
                os._exit(128 + number[0])


def _show_cursor() -> None:
    """Show the terminal's cursor, which a live line hides."""
    for output in (1, 2):
        with suppress(OSError):
            if os.isatty(output):
                os.write(output, SHOW_CURSOR)
