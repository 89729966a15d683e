"""Run `gpt2-small train`: create or resume a run."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gpt2_small.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from gpt2_small.training.display.trackers import Trackers
    from gpt2_small.training.recipes.settings import Settings
    from gpt2_small.training.session import OpenRun


def train(
    out: Annotated[Path, typer.Option(help="The run's folder.", metavar="RUN")],
    preset: Annotated[
        str | None,
        typer.Option(help="stories, characters, shakespeare-cpu, gpt2, ..."),
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="A prepared folder, a text, stories, or hub:NAME.")
    ] = None,
    column: Annotated[str | None, typer.Option(help="Column with the text.", metavar="C")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Resume the run in the folder, or start it.")
    ] = False,
    init_from: Annotated[
        str | None, typer.Option(help="Start from these weights: run, folder or name.")
    ] = None,
    max_steps: Annotated[int | None, typer.Option(help="Optimiser steps in all.")] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Windows per step, over all processes.")
    ] = None,
    micro_batch_size: Annotated[
        int | None, typer.Option(help="Windows per pass (default: as many as fit).")
    ] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    dtype: Annotated[
        str | None, typer.Option(help="Precision: float32, bfloat16 or float16.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Seed for weights, data order and dropout.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="Set any field of the recipe or the model.", metavar="NAME=VALUE"
        ),
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1 or mps.")] = None,
    sample_every: Annotated[int | None, typer.Option(min=1, help="Steps between samples.")] = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also write RUN/tensorboard.")
    ] = False,
    wandb: Annotated[
        str | None, typer.Option(help="Also log to Weights & Biases.", metavar="PROJECT")
    ] = None,
    profile: Annotated[
        bool, typer.Option("--profile", help="Trace three steps into RUN/profile.")
    ] = False,
    solution: Annotated[
        Path | None, typer.Option(help="Your own file instead of the reference.")
    ] = None,
) -> None:
    """Train a GPT-2 in one process, or in several with torchrun.
    Ctrl-C finishes the step and saves a checkpoint; --resume continues exactly.

    Example: gpt2-small train --preset characters --data plays.txt --out runs/plays
    """
    from gpt2_small.commands.options.solution_of_run import bind_solution_of
    from gpt2_small.training.recipes.settings import parsed
    from gpt2_small.training.recipes.training_presets import training_preset

    bind_solution_of(solution, out if resume else None)
    flags = {
        "data": data,
        "column": column,
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
    _refuse_without_conversations(preset, data)
    _train(out, settings, changes, resume, device, sample_every, tensorboard, wandb, profile)


def _refuse_without_conversations(preset: str | None, data: str | None) -> None:
    """Raise UserError for a preset of conversations with other data."""
    from gpt2_small.data.conversations.chat_folder import holds_chats

    if preset is not None and preset.startswith("chat-") and data and not holds_chats(data):
        raise UserError(
            f"--preset {preset} is for conversations, and {data} holds none; make a folder of them "
            "with `gpt2-small prepare NAME|FILE --chat --out FOLDER`"
        )


def _train(
    out: Path,
    preset: "Settings | None",
    changes: dict[str, Any],
    resume: bool,
    device: str | None,
    sample_every: int | None,
    tensorboard: bool,
    wandb: str | None,
    profile: bool,
) -> None:
    """Open the run and its trackers, train, and print the next command."""
    from gpt2_small import binding
    from gpt2_small.commands.screens.prepare_view import PrepareProgressLater
    from gpt2_small.runs import read_run
    from gpt2_small.training.display.safe_output import run_console
    from gpt2_small.training.display.trackers import open_trackers
    from gpt2_small.training.distributed import joined_processes
    from gpt2_small.training.session import open_run

    with joined_processes(device) as processes:
        console = run_console(quiet=not processes.is_main)
        progress = PrepareProgressLater(console, changes.get("data", "the text"))
        with (
            open_run(
                binding.bound(),
                out,
                preset,
                changes,
                processes,
                resume=resume,
                progress=progress.show,
            ) as run,
            open_trackers(
                out,
                run.settings.as_json(),
                tensorboard=tensorboard and processes.is_main,
                wandb=wandb if processes.is_main else None,
                run_id=read_run(out).config.id if processes.is_main else None,
                step=run.training.step,
            ) as trackers,
        ):
            _show_training(run, console, trackers, sample_every, profile and processes.is_main)
            _print_next_command(run, console)


def _show_training(
    run: "OpenRun",
    console: "Console",
    trackers: "Trackers",
    sample_every: int | None,
    profile: bool,
) -> None:
    """Train to the end with a display, and plot the loss."""
    from contextlib import nullcontext

    import torch

    from gpt2_small.training.display.overview import (
        draw,
        print_plan,
        reference_lines,
        show_training,
    )
    from gpt2_small.training.display.profile import profiling

    training = run.training
    device = training.processes.device
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")
    print_plan(run, console, "Training a GPT-2")
    every = sample_every or run.settings.recipe.evaluate_every
    with profiling(run.folder, device, training.step) if profile else nullcontext() as profiler:
        show_training(run, console, sample_every=every, trackers=trackers, profiler=profiler)
    draw(run, reference_lines(run.data))


def _print_next_command(run: "OpenRun", console: "Console") -> None:
    from gpt2_small import binding
    from gpt2_small.errors import shell_word
    from gpt2_small.training.chat_data import ChatData
    from gpt2_small.training.display.chat_progress import print_loss_by_turn

    next_command = f"sample --model {shell_word(run.folder)} --prompt TEXT"
    if isinstance(run.data, ChatData):
        print_loss_by_turn(run, console)
        next_command = f"chat {shell_word(run.folder)}"
    console.print(
        f"Wrote {run.folder}: log, checkpoints and loss.png.\n"
        f"Next: gpt2-small {next_command}{binding.option(binding.bound())}",
        highlight=False,
        soft_wrap=True,
        markup=False,
    )
