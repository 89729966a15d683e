"""Run `gpt2-small serve`: serve a model by OpenAI's HTTP API."""

from typing import Annotated

import typer

from gpt2_small import binding
from gpt2_small.commands.options.flags import Device, Solution
from gpt2_small.commands.options.server_options import (
    HostOption,
    PortOption,
    end_quietly_on_signals,
    warn_if_reachable,
)
from gpt2_small.commands.options.solution_of_run import bind_solution_of
from gpt2_small.commands.screens.standard_error import print_to_stderr
from gpt2_small.interrupts import loading


def serve(
    model: Annotated[
        str,
        typer.Argument(help="A run, Hugging Face folder or Hub name.", metavar="MODEL"),
    ],
    port: PortOption = None,
    host: HostOption = "127.0.0.1",
    device: Device = None,
    solution: Solution = None,
) -> None:
    """Serve a model by OpenAI's API: /v1/completions, /v1/chat/completions, /tokenize.

    Prints the address alone on a line; clients use it with /v1 as base URL, and any
    API key. Another --host lets other machines connect. Ctrl-C stops the server.

    Example: gpt2-small serve runs/stories --port 8000
    """
    end_quietly_on_signals()
    with loading():
        bind_solution_of(solution, model)
        from gpt2_small.app.models import Models
        from gpt2_small.app.openai.interface import served
        from gpt2_small.app.serving import http_server
        from gpt2_small.app.serving.guard import Guard, names_of
        from gpt2_small.devices import find_device

    listener = http_server.listening_socket(host, port)
    warn_if_reachable(host)
    interface = served(Models(model, device=find_device(device)))
    print_to_stderr(f"{interface.shown.label}, by {binding.describe(interface.shown.solution)}")
    print_to_stderr(*interface.models.remarks)
    names, any_address = names_of(host)
    guarded = Guard(interface.application(), token=None, names=names, any_address=any_address)
    address = f"{http_server.address_of(listener)}/"
    http_server.serve(
        guarded,
        listener,
        when_ready=lambda: http_server.print_address(address),
        on_end=interface.close,
    )
    http_server.leave(interface.thread.close())
