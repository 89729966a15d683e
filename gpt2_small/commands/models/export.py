"""Run `gpt2-small export`: write a run as a Hugging Face folder."""

from pathlib import Path
from typing import Annotated

import typer

from gpt2_small.commands.options.flags import Solution
from gpt2_small.commands.options.solution_of_run import bind_solution_of
from gpt2_small.errors import UserError
from gpt2_small.interrupts import loading


def export(
    run: Annotated[
        Path, typer.Argument(help="The run; its latest checkpoint is exported.", metavar="RUN")
    ],
    folder: Annotated[Path, typer.Argument(help="The folder to create.", metavar="FOLDER")],
    solution: Solution = None,
) -> None:
    """Export a run as a folder that transformers and TransformerLens load.

    Writes the weights as safetensors, the config, the tokenizer's files, and a
    manifest with the SHA-256 of each. A model that is not GPT-2 is refused.

    Example: gpt2-small export runs/stories stories-gpt2
    """
    with loading():
        bind_solution_of(solution, run)
        from gpt2_small.runs.folder import is_run
        from gpt2_small.weights import export_hugging_face
        from gpt2_small.weights.pretrained import missing

    if not run.is_dir() and (sentence := missing(run)):
        raise UserError(sentence)
    if run.is_dir() and not is_run(run):
        raise UserError(f"{run} is not the folder of a run; give one that training has made")
    typer.echo(f"Wrote {export_hugging_face(run, folder)}: {_listed(folder)}")


def _listed(folder: Path) -> str:
    return ", ".join(sorted(path.name for path in folder.iterdir()))
