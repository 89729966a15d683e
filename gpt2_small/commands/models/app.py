"""Run `gpt2-small app`: open a model in the browser."""

import threading
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
from gpt2_small.errors import UserError
from gpt2_small.interrupts import loading

if TYPE_CHECKING:
    from gpt2_small.app.page.page import Page

RUNS = Path("runs")


def app(
    model: Annotated[
        str | None,
        typer.Argument(
            help="Run, Hugging Face folder or Hub name (default: newest run).",
            metavar="MODEL",
        ),
    ] = None,
    port: PortOption = None,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Print the address without opening it.")
    ] = False,
    host: HostOption = "127.0.0.1",
    device: Device = None,
    solution: Solution = None,
) -> None:
    """Open a model in the browser: probabilities, branches, attention, your file.

    Prints the address alone on a line; its key keeps out other users of this
    machine. Another --host lets other machines connect. Ctrl-C stops the server.

    Example: gpt2-small app runs/stories
    """
    end_quietly_on_signals()
    with loading():
        from gpt2_small.weights import newest_run

        if model is None and (newest := newest_run(RUNS)) is not None:
            model = str(newest)
        bind_solution_of(solution, model)
        from gpt2_small.app.serving.guard import Guard, names_of
        from gpt2_small.app.serving.http_server import (
            address_of,
            leave,
            listening_socket,
            print_address,
            serve,
        )
        from gpt2_small.app.serving.key import page_key

    listener = listening_socket(host, port)
    warn_if_reachable(host)
    page = page_of(model, device)
    key = page_key()
    names, any_address = names_of(host)
    guarded = Guard(page.application(), token=key, names=names, any_address=any_address)
    address = f"{address_of(listener)}/{key}/"

    def when_ready() -> None:
        print_address(address)
        if not no_browser:
            # A browser in the terminal ends only when the user leaves it.
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()

    serve(guarded, listener, when_ready=when_ready, on_end=page.close)
    if page.learner is not None:
        page.learner.stop()
    leave(page.thread.close())


def page_of(model: str | None, device: str | None) -> "Page":
    """The page of a model and of the learner's file; prints remarks about the model."""
    with loading():
        from gpt2_small.app.models import Models
        from gpt2_small.app.page.learning import LearnerFile
        from gpt2_small.app.page.page import Page
        from gpt2_small.commands.options.learner_options import shown_path
        from gpt2_small.devices import find_device

    models = Models(model, device=find_device(device))
    print_to_stderr(f"{models.name or 'no model'}, by {binding.describe(models.solution)}")
    print_to_stderr(*models.remarks, *filter(None, [models.problem]))
    file = learners_file()
    return Page(models, None if file is None else LearnerFile(file, shown_path(file)))


def learners_file() -> Path | None:
    """The file to watch: the solution in use if it is a learner's, else ./my_gpt2.py."""
    from gpt2_small.commands.options.learner_options import learner_file

    try:
        return learner_file(None)
    except UserError:
        return None
