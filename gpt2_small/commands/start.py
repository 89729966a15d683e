"""`gpt2-small start`: a file to write."""

import os
from pathlib import Path
from typing import Annotated

import typer

from gpt2_small.commands.learner import DEFAULT
from gpt2_small.errors import UserError


def start(
    file: Annotated[
        Path, typer.Argument(help="The file to make.", metavar="FILE", show_default=True)
    ] = DEFAULT,
) -> None:
    """Make a file in which every part of GPT-2 is left for you to write.

    Signatures, `__init__`, docstrings and numbered steps are there; the bodies are
    yours. A file that exists is never touched.

    Example: gpt2-small start my_gpt2.py
    """
    from gpt2_small.checker.learner.progress import path_for
    from gpt2_small.checker.learner.skeleton import skeleton
    from gpt2_small.checker.parts import PARTS
    from gpt2_small.files import write_atomically

    if file.suffix != ".py":
        raise UserError(f"{file} is no Python file; did you mean {file}.py?")
    if os.path.lexists(file):
        raise UserError(
            f"{file} exists already and stays as it is; give another name: "
            f"gpt2-small start {_free_name(file)}"
        )
    if not file.absolute().parent.is_dir():
        raise UserError(f"there is no folder {file.parent}; make it first")
    write_atomically(file, skeleton())
    named = "" if file == DEFAULT else f" {file}"
    option = "" if file == DEFAULT else f" --file {file}"
    typer.echo(
        f"{file} is there: {len(PARTS)} parts to write, from {PARTS[0]} to {PARTS[-1]}.\n\n"
        f"  gpt2-small watch{named}\n      says after every save how the part is doing\n"
        f"  gpt2-small hint {PARTS[0]}{option}\n      gives the next hint\n"
        f"  gpt2-small show {PARTS[0]}{option}\n      shows how the reference does it\n\n"
        f"Hints and progress are kept in {path_for(file)}."
    )


def _free_name(file: Path) -> Path:
    number = 2
    while os.path.lexists(candidate := file.with_stem(f"{file.stem}_{number}")):
        number += 1
    return candidate
