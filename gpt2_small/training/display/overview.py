"""A run as a person watches it: what is about to happen, the steps, samples, the curve."""

import math
import time
from pathlib import Path

import torch
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from gpt2_small import binding, stories
from gpt2_small.runs import read_log
from gpt2_small.training.display.console import RunView
from gpt2_small.training.display.plot import save_loss_curve
from gpt2_small.training.display.samples import excerpt
from gpt2_small.training.display.trackers import Trackers
from gpt2_small.training.recorder import kept_records
from gpt2_small.training.session import OpenRun
from gpt2_small.training.signals import stop_on_signals
from gpt2_small.training.training_data import StoriesData, TextData

CURVE = "loss.png"


def reference_lines(data: StoriesData | TextData) -> dict[str, float]:
    """Losses to compare with, in nats per token: a guess, one token back, the best there is."""
    lines = {
        "uniform, ln V": math.log(data.tokenizer.vocab_size),
        "best bigram": data.bigram_loss(),
    }
    if isinstance(data, StoriesData):
        lines["floor"] = stories.entropy_per_token(data.n_ctx)
    return lines


def print_plan(run: OpenRun, console: Console, title: str) -> None:
    """Say what is about to happen."""
    training, recipe = run.training, run.settings.recipe
    config, processes = training.config, training.processes
    parameters = sum(parameter.numel() for parameter in training.model.parameters())
    windows = recipe.batch_size * config.n_ctx
    plan = Table.grid(padding=(0, 2))
    plan.add_column(style="bold")
    plan.add_column()
    plan.add_row("solution", binding.describe(training.solution))
    plan.add_row("data", f"{run.data.name}, {run.data.tokenizer.vocab_size:,} different tokens")
    plan.add_row(
        "model",
        f"{_count(config.n_layers, 'layer')} of width {config.d_model}, "
        f"{_count(config.n_heads, 'head')}, "
        f"context {config.n_ctx}: {parameters:,} parameters",
    )
    if run.settings.init_from:
        plan.add_row("begins as", run.settings.init_from)
    plan.add_row(
        "training",
        f"{recipe.max_steps:,} steps of {recipe.batch_size} windows: "
        f"{recipe.max_steps * windows:,} tokens, seed {recipe.seed}",
    )
    plan.add_row(
        "schedule",
        f"rate up to {recipe.learning_rate:g} in {_count(recipe.warmup_steps, 'step')}, "
        f"cosine to {recipe.learning_rate * recipe.final_fraction:g} at step {recipe.max_steps:,}",
    )
    threads = (
        f", {_count(torch.get_num_threads(), 'thread')}" if processes.device.type == "cpu" else ""
    )
    several = f", {processes.world_size} processes" if processes.world_size > 1 else ""
    compiled = ", compiled before the first step" if training.is_compiled else ""
    plan.add_row("device", f"{processes.device}{threads}{several}, {recipe.dtype}{compiled}")
    plan.add_row("run folder", str(run.folder))
    console.print(Panel(plan, title=title, title_align="left"))
    for remark in run.remarks:
        console.print(escape(remark), highlight=False)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def show_excerpt(run: OpenRun, console: Console, title: str, *, seed: int) -> None:
    """Print something that the model writes."""
    if run.training.processes.is_main:
        text = excerpt(run.training, seed=seed)
        console.print(Panel(escape(text), title=title, title_align="left"))


def watch(
    run: OpenRun, console: Console, *, look_every: int, trackers: Trackers | None = None
) -> bool:
    """Train to the end, or until asked to stop, with a live line and samples.

    look_every: steps between two samples.

    Returns whether the run reached its end.
    """
    training, recipe = run.training, run.settings.recipe
    view = RunView(console, training)
    first, started = training.step, time.perf_counter()
    with stop_on_signals() as asked_to_stop, view.live():
        for record in kept_records(run, asked_to_stop):
            if trackers is not None and training.processes.is_main:
                trackers.show(record)
            view.show(record)
            if record.val_loss is not None:
                console.print(
                    f"step {record.step:,}: held-out loss {record.val_loss:.3f}", highlight=False
                )
            if record.step % look_every == 0 and not training.is_done:
                show_excerpt(
                    run, console, f"after {record.step:,} steps", seed=recipe.seed + record.step
                )
    seconds = time.perf_counter() - started
    console.print(f"Trained {training.step - first:,} steps in {seconds:.0f} seconds.")
    if not training.is_done:
        console.print(
            f"Interrupted after step {training.step:,}; everything is kept.\n"
            f"Go on: gpt2-small train --out {run.folder} --resume"
            f"{binding.option(training.solution)}",
            highlight=False,
            soft_wrap=True,
        )
    return training.is_done


def draw(run: OpenRun, lines: dict[str, float]) -> None:
    """Save the loss curve beside the log."""
    log = read_log(run.folder)
    losses = [record["val_loss"] for record in log if "val_loss" in record]
    last = f": held-out loss {losses[-1]:.3f}" if losses else ""
    if run.training.processes.is_main and log:
        save_loss_curve(
            run.folder / CURVE,
            log,
            title=f"{Path(run.data.name).name}, {len(log):,} steps{last}",
            reference_lines=lines,
        )
