"""Run `gpt2-small export`: write a trained model for other programs."""

from pathlib import Path
from typing import Annotated

import typer

from gpt2_small.commands.options.flags import Solution
from gpt2_small.commands.options.solution_of_run import bind_solution_of
from gpt2_small.errors import UserError
from gpt2_small.interrupts import loading


def export(
    run: Annotated[
        Path, typer.Argument(help="A run; its latest checkpoint is written.", metavar="RUN")
    ],
    folder: Annotated[Path, typer.Argument(help="A new folder for the model.", metavar="FOLDER")],
    solution: Solution = None,
) -> None:
    """Write a trained model as a folder that transformers and TransformerLens load.

    It gets the weights as safetensors, the config, the tokenizer's files, and a manifest
    with the SHA-256 of each; nothing is written of a model that is no GPT-2.

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
