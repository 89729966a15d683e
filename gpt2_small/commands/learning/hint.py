"""Run `gpt2-small hint`: print the next hint for a part."""

import typer

from gpt2_small.commands.options.learner_options import (
    FileOption,
    PartArgument,
    learner_file,
    shown_path,
)
from gpt2_small.errors import UserError


def hint(part: PartArgument, file: FileOption = None) -> None:
    """Print the next hint for a part; the last hint gives the formula.

    If your code behaves like a known mistake, the hint is about that mistake. The number
    of hints is stored beside your file, in .my_gpt2.progress.json for my_gpt2.py.

    Example: gpt2-small hint LayerNorm
    """
    from rich.padding import Padding
    from rich.text import Text

    from gpt2_small.checker import exercise_sets
    from gpt2_small.checker.learner import progress, verdict_screen
    from gpt2_small.checker.sandbox.client import Checker

    path = learner_file(file)
    exercises = exercise_sets.of_file(path)
    part = exercises.find_part(part)
    console = verdict_screen.console_for_learners()
    with Checker() as checker, console.status(f"checking {part}"):
        verdict = checker.check(path, [part])
    if verdict.error is not None:
        raise UserError(verdict.error)
    if verdict.state_of(part) == "passed":
        typer.echo(f"{part} holds already; no hint is needed.")
        return
    stored = progress.read(path, exercises)
    following = progress.next_hint(stored, part, verdict.reports[part].mistakes, exercises)
    is_written = progress.write(path, stored)
    console.print(following.title, style="bold")
    console.print(Padding(Text(following.text), (0, 0, 0, 2)))
    if following.number == following.of:
        last = verdict_screen.after_last_hint(part, str(shown_path(path)))
        console.print(last, style="dim")
    if not is_written:
        file_name = shown_path(progress.path_for(path))
        console.print(f"{file_name} cannot be written, so hints are not counted.", style="dim")
