"""Print scores in two columns, and show progress while they are computed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer


def print_line(line: str) -> None:
    """Print a line with control characters made visible."""
    from gpt2_small.generation.terminal_text import visible

    typer.echo(visible(line))


def print_rows(rows: list[tuple[str, str]]) -> None:
    """Print names and values in two columns."""
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print_line(f"  {name:<{width}}  {value}")


def with_error(share: float, error: float | None) -> str:
    """A share with its standard error, in percent."""
    return f"{share:.2%}" + ("" if error is None else f" ± {error:.2%}")


@contextmanager
def counting(what: str) -> Iterator[Callable[[int], None]]:
    """Show progress on a terminal; yields the function that takes the number scored."""
    from rich.console import Console
    from rich.progress import Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = TextColumn("{task.completed:,.0f} " + what), TimeElapsedColumn()
    hidden = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as bar:
        task = bar.add_task("", total=None)
        yield lambda done: bar.update(task, completed=done)
