"""Show the part being checked, on standard output's or standard error's terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console


@contextmanager
def status_line(console: Console, errors: Console | None = None) -> Iterator[Callable[[str], None]]:
    """In this context, provide a function that shows the current action.

    If the output is a file or a pipe, the action is shown on standard error if that is a terminal.

    errors: standard error's console.
    """
    errors = errors or Console(stderr=True, highlight=False)
    shown = next((one for one in (console, errors) if one.is_terminal), None)
    if shown is None:
        yield lambda what: None
        return
    with shown.status("starting") as status:
        yield status.update
