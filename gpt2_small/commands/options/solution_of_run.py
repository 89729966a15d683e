"""Bind the solution that trained a run, if the user names or confirms it."""

import os
import sys
from pathlib import Path

import typer

from gpt2_small import binding
from gpt2_small.entry_point import bind_solution
from gpt2_small.errors import UserError
from gpt2_small.files.hashes import sha256
from gpt2_small.files.json_files import read_json_object


def bind_solution_of(solution: Path | None, model: str | Path | None) -> None:
    """Bind the file of `--solution`, else the run's stored solution if the user confirms.

    Without a terminal there is no question: loading the run then raises an error that names the
    file. $GPT2_SMALL_SOLUTION counts as `--solution`.
    """
    is_named = solution is not None or binding.SOLUTION_VARIABLE in os.environ
    stored = None if is_named or model is None else stored_solution(Path(model))
    if stored is not None and at_a_terminal() and confirmed(Path(str(model)), stored):
        solution = stored
    bind_solution(solution)


def stored_solution(folder: Path) -> Path | None:
    """The solution stored in a run; None for the reference's runs.

    None also if its hash differs from the one in config.json.
    """
    try:
        run = read_json_object(folder / "config.json")["run"]
        trained_by, trained_sha256 = run[binding.FILE_KEY], run[binding.SHA256_KEY]
        stored = folder / "solution.py"
        if trained_by != binding.REFERENCE and sha256(stored) == trained_sha256:
            return stored
    except (UserError, OSError, KeyError, TypeError):
        pass
    return None


def at_a_terminal() -> bool:
    """Whether standard input and error are a terminal."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def confirmed(folder: Path, stored: Path) -> bool:
    """Ask whether to run the stored solution; the default is no."""
    run = read_json_object(folder / "config.json")["run"]
    typer.echo(
        f"{folder} was trained with {run[binding.FILE_KEY]} (sha256 {sha256(stored)[:12]}), which "
        f"is not the reference. The run's copy is {stored}.",
        err=True,
    )
    return typer.confirm("Run it?", default=False, err=True)
