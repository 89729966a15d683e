"""Define the shared options of the commands for a learner's file."""

from pathlib import Path
from typing import Annotated

import typer

from gpt2_small import binding
from gpt2_small.commands.learning.check import file_in_use
from gpt2_small.errors import UserError

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
