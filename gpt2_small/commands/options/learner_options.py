"""Define the shared options of the commands for a learner's file."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from gpt2_small import binding
from gpt2_small.errors import UserError, shell_word

DEFAULT = Path("my_gpt2.py")

FileOption = Annotated[
    Path | None,
    typer.Option(
        "--file",
        "--solution",
        help="Your file (default: the one in use, or my_gpt2.py).",
        metavar="FILE",
    ),
]
PartArgument = Annotated[str, typer.Argument(help="The part, such as LayerNorm.", metavar="PART")]


def learner_file(file: Path | None) -> Path:
    """The learner's file: the named one, else the one in use, else `./my_gpt2.py`.

    Raises UserError when there is none.
    """
    path = file or file_in_use()
    if file is None and path == binding.reference_path():
        path = DEFAULT
    if not path.exists() and file is None:
        raise UserError(
            f"there is no {path} here; write it with gpt2-small start, or name your file"
        )
    binding.read(path)
    return path


def shown_path(path: Path) -> str:
    """The path relative to the working directory if it is inside, else absolute."""
    here = Path.cwd()
    absolute = path.absolute()
    return str(absolute.relative_to(here) if absolute.is_relative_to(here) else absolute)


def file_in_use() -> Path:
    """The bound file, else that of $GPT2_SMALL_SOLUTION, else the reference."""
    module = sys.modules.get(binding.BOUND_MODULE)
    if module is not None:
        return binding.solution_path(module)
    return Path(os.environ.get(binding.SOLUTION_VARIABLE) or binding.reference_path())


def check_new_file(file: Path, flag: str) -> None:
    """Raise UserError unless a Python file can be created at this path.

    flag: the words before the file's name in a command.
    """
    if file.is_dir():
        raise UserError(f"{file} is a folder; give the name of a Python file in it")
    if file.suffix != ".py":
        raise UserError(f"{file} is not a Python file; did you mean {file.with_suffix('.py')}?")
    if os.path.lexists(file):
        free = shell_word(_free_name(file))
        raise UserError(f"{file} exists already; give another name: {flag} {free}")
    if not file.absolute().parent.is_dir():
        raise UserError(f"there is no folder {file.parent}; create it first")


def _free_name(file: Path) -> Path:
    number = 2
    while os.path.lexists(candidate := file.with_stem(f"{file.stem}_{number}")):
        number += 1
    return candidate
