"""Run `gpt2-small start`: create a file to write the parts in."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gpt2_small.commands.options.learner_options import DEFAULT, check_new_file
from gpt2_small.errors import shell_word

if TYPE_CHECKING:
    from gpt2_small.checker.exercise_set import ExerciseSet


def start(
    file: Annotated[
        Path, typer.Argument(help="The file to create.", metavar="FILE", show_default=True)
    ] = DEFAULT,
    lesson: Annotated[
        str | None, typer.Option(help="Create the file of this lesson.", metavar="NAME")
    ] = None,
) -> None:
    """Create a file with the parts to write, of GPT-2 or of a lesson.

    It has signatures, `__init__`, docstrings and numbered steps, without the bodies.
    A lesson's notebook is written beside it. An existing file is never overwritten.

    Example: gpt2-small start my_gpt2.py
    """
    from gpt2_small.checker import exercise_set, exercise_sets
    from gpt2_small.checker.learner.progress import path_for
    from gpt2_small.checker.learner.skeleton import skeleton
    from gpt2_small.files.atomic import write_atomically

    exercises = exercise_set.GPT2 if lesson is None else exercise_sets.find_lesson(lesson)
    check_new_file(file, "gpt2-small start")
    write_atomically(file, skeleton(exercises))
    notebook = _write_notebook(exercises, file)
    parts = exercises.parts
    argument = "" if file == DEFAULT else f" {shell_word(file)}"
    option = "" if file == DEFAULT else f" --file {shell_word(file)}"
    typer.echo(
        f"Created {file}: {len(parts)} parts to write, from {parts[0]} to {parts[-1]}.\n"
        f"{notebook}\n"
        f"  gpt2-small watch{argument}\n      says after every save how the part is doing\n"
        f"  gpt2-small hint {parts[0]}{option}\n      gives the next hint\n"
        f"  gpt2-small show {parts[0]}{option}\n      shows how the reference does it\n\n"
        f"Hints and progress are saved in {path_for(file)}."
    )


def _write_notebook(exercises: "ExerciseSet", file: Path) -> str:
    """Copy a lesson's notebook beside the file, bound to it; returns the status line."""
    from gpt2_small.checker.learner.lesson_notebook import notebook_for
    from gpt2_small.files.atomic import write_atomically

    notebook = notebook_for(exercises, file)
    if notebook is None:
        return ""
    path, text = notebook
    if os.path.lexists(path):
        return f"{path} exists already and is not overwritten.\n"
    write_atomically(path, text)
    return f"Created {path}: the lesson, which runs on {file}. Open it in Jupyter.\n"
