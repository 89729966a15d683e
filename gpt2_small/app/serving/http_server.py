"""Serve an application until Ctrl-C or SIGTERM, and end with exit code 0."""

import asyncio
import errno
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from gpt2_small.errors import UserError

SIGNALS = (signal.SIGINT, signal.SIGTERM)
SECONDS_TO_END = 1
PREFERRED_PORT = 8742


class Server(uvicorn.Server):
    """Uvicorn without its signal handlers, which raise the signal again after a shutdown.

    on_end: called before the shutdown waits for open responses.
    """

    def __init__(self, config: uvicorn.Config, on_end: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_end = on_end

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Shut down at the first signal, end the process at the second."""

        def end(_number: int, _frame: FrameType | None) -> None:
            if self.should_exit:
                os._exit(0)
            self.should_exit = True

        before = {number: signal.signal(number, end) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End open streams first, since the shutdown waits for them."""
        self._on_end()
        await super().shutdown(sockets)


def listening_socket(host: str, port: int | None) -> socket.socket:
    """Open a listening socket; without a port, on the preferred one or any free one.

    Raises UserError for an address that cannot be used or a port that is in use.
    """
    if not host:
        raise UserError("--host is empty; give 127.0.0.1, or 0.0.0.0 for every address")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for number in (PREFERRED_PORT, 0) if port is None else (port,):
        listener = socket.socket(family)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, number))
            listener.listen(128)
        except (OSError, OverflowError, TypeError) as error:
            listener.close()
            problem = _cannot_listen(host, number, error)
            continue
        return listener
    raise UserError(problem)


def _cannot_listen(host: str, port: int, error: OSError | OverflowError | TypeError) -> str:
    if isinstance(error, OverflowError):
        return f"cannot listen on port {port} (0 to 65535 are ports); give another --port"
    reason = error.strerror if isinstance(error, OSError) else str(error)  # TypeError: a null, say
    about_host = isinstance(error, (socket.gaierror, TypeError))
    if about_host or (isinstance(error, OSError) and error.errno == errno.EADDRNOTAVAIL):
        return f"cannot listen on {host} ({reason}); give another --host"
    return f"cannot listen on {host}, port {port} ({reason}); give another --port"


def address_of(listener: socket.socket) -> str:
    """The address `http://HOST:PORT` of a listening socket on this machine."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(
    app: ASGIApp,
    listener: socket.socket,
    *,
    when_ready: Callable[[], None],
    on_end: Callable[[], None],
) -> None:
    """Serve requests until Ctrl-C or SIGTERM. `when_ready` is called once the server is ready."""
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="off",
        ws="none",
        http="h11",
        loop="asyncio",
        timeout_graceful_shutdown=SECONDS_TO_END,
        h11_max_incomplete_event_size=1 << 16,
    )
    server = Server(config, on_end)

    async def run() -> None:
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        while not (server.started or serving.done()):
            await asyncio.sleep(0.01)
        if not serving.done():
            when_ready()
        with suppress(asyncio.CancelledError):
            await serving

    asyncio.run(run())


def print_address(address: str) -> None:
    """Print the address on a line of its own."""
    if sys.stdout is not None:
        sys.stdout.write(address + "\n")
        sys.stdout.flush()


def leave(is_idle: bool) -> None:
    """End the process with exit code 0, even if a thread is still running."""
    if is_idle:
        return
    for stream in filter(None, (sys.stdout, sys.stderr)):
        stream.flush()
    os._exit(0)
