"""Print lines on standard error."""

import typer


def print_to_stderr(*lines: str) -> None:
    """Print lines on standard error."""
    for line in lines:
        typer.echo(line, err=True)
