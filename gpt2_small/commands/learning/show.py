"""Run `gpt2-small show`: print the reference's code of a part."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from gpt2_small.commands.options.learner_options import (
    FileOption,
    PartArgument,
    learner_file,
    shown_path,
)
from gpt2_small.errors import UserError


def show(
    part: PartArgument,
    file: FileOption = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Show it without asking.")] = False,
) -> None:
    """Print the reference's code of a part.

    Asks for confirmation if your own part does not hold yet.

    Example: gpt2-small show LayerNorm
    """
    from rich.syntax import Syntax

    from gpt2_small.checker import exercise_set, exercise_sets
    from gpt2_small.checker.learner import progress, verdict_screen
    from gpt2_small.checker.learner.skeleton import reference_code

    path = _file_or_none(file)
    exercises = exercise_set.GPT2 if path is None else exercise_sets.of_file(path)
    part = exercises.find_part(part)
    if not yes and (path is None or not _holds(path, part)):
        _ask(part, path)
    console = verdict_screen.console_for_learners()
    code = reference_code(part, exercises)
    highlighted = Syntax(code, "python", theme="ansi_dark").highlight(code)
    console.print(highlighted, soft_wrap=True, end="")
    if path is not None:
        stored = progress.read(path, exercises)
        if part not in stored.shown:
            stored.shown.append(part)
            progress.write(path, stored)


def _file_or_none(file: Path | None) -> Path | None:
    """The learner's file; None if none is named and none exists."""
    if file is not None:
        return learner_file(file)
    try:
        return learner_file(None)
    except UserError:
        return None


def _holds(path: Path, part: str) -> bool:
    from gpt2_small.checker.learner import verdict_screen
    from gpt2_small.checker.sandbox.client import Checker

    with Checker() as checker, verdict_screen.console_for_learners().status(f"checking {part}"):
        verdict = checker.check(path, [part], naming=False)
    return verdict.error is None and verdict.state_of(part) == "passed"


def _ask(part: str, path: Path | None) -> None:
    """Ask the learner to confirm. Raises UserError without a terminal."""
    if not sys.stdin.isatty():
        from gpt2_small.checker.learner.verdict_screen import file_option

        option = "" if path is None else file_option(shown_path(path))
        raise UserError(
            f"your {part} does not hold yet, and there is no terminal to confirm on; "
            f"to show the reference: gpt2-small show {part}{option} --yes"
        )
    typer.confirm(f"Your {part} does not hold yet. Show the reference?", abort=True)
