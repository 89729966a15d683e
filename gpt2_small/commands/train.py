"""`gpt2-small train`: a run in its folder."""

from pathlib import Path
from typing import Annotated, Any

import typer


def train(
    out: Annotated[Path, typer.Option(help="The run's folder.", metavar="RUN")],
    preset: Annotated[
        str | None,
        typer.Option(help="stories, shakespeare-cpu, gpt2, gpt2-fineweb, ..."),
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="A prepared folder, a text, stories, or hub:NAME.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where the run in the folder stopped.")
    ] = False,
    init_from: Annotated[
        str | None, typer.Option(help="Begin with the weights of a run, folder or name.")
    ] = None,
    max_steps: Annotated[int | None, typer.Option(help="Updates of the weights.")] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Windows in a step, over all processes.")
    ] = None,
    micro_batch_size: Annotated[
        int | None, typer.Option(help="Windows that a process holds at once.")
    ] = None,
    learning_rate: Annotated[float | None, typer.Option(help="The highest learning rate.")] = None,
    dtype: Annotated[str | None, typer.Option(help="float32 or bfloat16, of products.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of the weights and the data's order.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any field of the recipe or the model.", metavar="NAME=VALUE"),
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1 or mps.")] = None,
    sample_every: Annotated[
        int | None, typer.Option(min=1, help="Steps between two samples.")
    ] = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write RUN/tensorboard, too.")
    ] = False,
    wandb: Annotated[
        str | None, typer.Option(help="Log to Weights & Biases, too.", metavar="PROJECT")
    ] = None,
    solution: Annotated[
        Path | None, typer.Option(help="Your own file instead of the reference.")
    ] = None,
) -> None:
    """Train a GPT-2, alone or with the processes that torchrun starts.
    Ctrl-C ends the step and saves; --resume goes on as if nothing had happened.

    Example: gpt2-small train --preset characters --data plays.txt --out runs/plays
    """
    from gpt2_small.entry_point import bind_solution
    from gpt2_small.training.presets import training_preset
    from gpt2_small.training.settings import parsed

    bind_solution(solution)
    flags = {
        "data": data,
        "init_from": init_from,
        "max_steps": max_steps,
        "batch_size": batch_size,
        "micro_batch_size": micro_batch_size,
        "learning_rate": learning_rate,
        "dtype": dtype,
        "seed": seed,
    }
    changes = {name: value for name, value in flags.items() if value is not None}
    changes |= parsed(set_ or [])
    settings = None if preset is None else training_preset(preset)
    _train(out, settings, changes, resume, device, sample_every, tensorboard, wandb)


def _train(
    out: Path,
    preset: Any,
    changes: dict[str, Any],
    resume: bool,
    device: str | None,
    sample_every: int | None,
    tensorboard: bool,
    wandb: str | None,
) -> None:
    import torch
    from rich.console import Console

    from gpt2_small import binding
    from gpt2_small.training.display.overview import draw, print_plan, reference_lines, watch
    from gpt2_small.training.display.trackers import open_trackers
    from gpt2_small.training.distributed import joined_processes
    from gpt2_small.training.session import open_run

    with (
        joined_processes(device) as processes,
        open_run(binding.bound(), out, preset, changes, processes, resume=resume) as run,
        open_trackers(
            out,
            run.settings.as_json(),
            tensorboard=tensorboard and processes.is_main,
            wandb=wandb if processes.is_main else None,
        ) as trackers,
    ):
        if processes.device.type == "cuda":
            torch.set_float32_matmul_precision("high")
        console = Console(quiet=not processes.is_main)
        print_plan(run, console, "Training a GPT-2")
        every = sample_every or run.settings.recipe.evaluate_every
        watch(run, console, look_every=every, trackers=trackers)
        draw(run, reference_lines(run.data))
        console.print(
            f"Log, checkpoints and loss.png: {out}\n"
            f"Next: gpt2-small sample --model {out} --prompt TEXT"
            f"{binding.option(binding.bound())}",
            highlight=False,
            soft_wrap=True,
        )
