"""Define the shared options of the commands that serve, and what they do before they listen."""

import signal
import sys
from typing import Annotated

import typer

from gpt2_small.commands.screens.standard_error import print_to_stderr

HostOption = Annotated[str, typer.Option(help="Address to listen on.", metavar="ADDRESS")]
PortOption = Annotated[
    int | None,
    typer.Option(help="Port (default: 8742, or any free one).", metavar="N", min=0, max=65535),
]


def warn_if_reachable(host: str) -> None:
    """Warn if the server is reachable from other machines."""
    from gpt2_small.app.serving.guard import LOOPBACK_NAMES

    if host not in LOOPBACK_NAMES:
        print_to_stderr(
            f"warning: on {host} the server can be reached from other machines, over a connection "
            "that is not encrypted; prefer an SSH tunnel to 127.0.0.1"
        )


def end_quietly_on_signals() -> None:
    """Exit with 0 on signals before the server is ready, too."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda *_: sys.exit(0))
