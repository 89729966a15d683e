"""What every command does alike: one sentence for a user's mistake, and the right exit code."""

import os
import sys
from pathlib import Path

import typer

from gpt2_small import binding
from gpt2_small.errors import UserError

CANNOT_BE_USED = 2
INTERRUPTED = 130


def run_command(app: typer.Typer) -> None:
    """Run a command line and leave with its exit code: 2 for input that cannot be used.

    Of the processes that torchrun started, the first one alone prints the sentence.
    """
    try:
        app()
    except UserError as error:
        if os.environ.get("RANK", "0") == "0":
            print(f"error: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(CANNOT_BE_USED)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def bind_solution(path: Path | None) -> None:
    """Bind the file of `--solution`; left out, $GPT2_SMALL_SOLUTION or the reference."""
    if path is None:
        binding.bound()
    else:
        binding.bind(path)
