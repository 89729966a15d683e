"""Show a run from start to end: the plan, its steps, samples and the loss curve."""

import math
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from gpt2_small import binding, stories
from gpt2_small.errors import counted, shell_word
from gpt2_small.runs import read_log
from gpt2_small.stories.dialogues.dialogue_entropy import dialogue_floor
from gpt2_small.training.chat_data import ChatData
from gpt2_small.training.choice_scores import ACC, ACC_NORM, BITS_PER_BYTE, chance
from gpt2_small.training.display.console import RunView
from gpt2_small.training.display.plot import save_loss_curve
from gpt2_small.training.display.profile import Profiler
from gpt2_small.training.display.safe_output import LastingOutput
from gpt2_small.training.display.samples import excerpt
from gpt2_small.training.display.trackers import Trackers
from gpt2_small.training.loop import Training
from gpt2_small.training.recipes.resuming import CURVE
from gpt2_small.training.run_loop import train_run
from gpt2_small.training.session import OpenRun
from gpt2_small.training.signals import StopRequest, stop_on_signals
from gpt2_small.training.step.schedule import describe
from gpt2_small.training.step_record import RunRecord
from gpt2_small.training.training_data import Data, StoriesData


def reference_lines(data: Data) -> dict[str, float]:
    """Reference losses, in nats per token: a uniform guess, a bigram model, the floor."""
    lines = {"uniform, ln V": math.log(data.tokenizer.vocab_size)}
    if isinstance(data, ChatData):
        return lines | ({"floor": dialogue_floor()} if data.holds_dialogues else {})
    lines["best bigram"] = data.bigram_loss()
    if isinstance(data, StoriesData):
        lines["floor"] = stories.entropy_per_token(data.n_ctx)
    return lines


def print_plan(run: OpenRun, console: Console, title: str) -> None:
    """Print the solution, data, model, schedule and device of a run."""
    training, recipe, config = run.training, run.training.recipe, run.training.config
    parameters = sum(parameter.numel() for parameter in training.model.parameters())
    plan = Table.grid(padding=(0, 2))
    plan.add_column(style="bold")
    plan.add_column()
    plan.add_row("solution", escape(binding.describe(training.solution)))
    if training.objective.stepped_by is not training.solution:
        plan.add_row("", "its model, with the reference's training step")
    data = f"{run.data.name}, {run.data.tokenizer.vocab_size:,} different tokens"
    plan.add_row("data", escape(data))
    plan.add_row(
        "model",
        f"{_count(config.n_layers, 'layer')} of width {config.d_model}, "
        f"{_count(config.n_heads, 'head')}, "
        f"context {config.n_ctx}: {parameters:,} parameters",
    )
    if run.settings.init_from:
        plan.add_row("begins as", escape(run.settings.init_from))
    plan.add_row("training", f"{recipe.max_steps:,} steps of {_batch(run)}, seed {recipe.seed}")
    plan.add_row("schedule", describe(recipe, training.solution.learning_rate))
    if run.questions:
        every = recipe.choices_every or recipe.evaluate_every
        choices = f"{len(run.questions):,} questions of {recipe.choices} every {every:,} steps"
        plan.add_row("choices", escape(choices))
    plan.add_row("device", _device(training))
    plan.add_row("run folder", escape(str(run.folder)))
    console.print(Panel(plan, title=title, title_align="left"))
    for remark in run.remarks:
        console.print(escape(remark), highlight=False)


def _batch(run: OpenRun) -> str:
    """The batch of a step, and the amount of data in all steps."""
    training, recipe = run.training, run.training.recipe
    micro_batches = recipe.micro_batches(training.processes.world_size)
    cut = "" if micro_batches == 1 else f" in {micro_batches} micro-batches"
    drawn = recipe.max_steps * recipe.batch_size
    if isinstance(run.data, ChatData):
        epochs = drawn / len(run.data.chats.train)
        return f"{recipe.batch_size} conversations{cut}: {epochs:.1f} epochs"
    return f"{recipe.batch_size} windows{cut}: {drawn * training.config.n_ctx:,} tokens"


def _device(training: Training) -> str:
    """The device with its threads or processes, the dtype, and whether it compiles."""
    processes = training.processes
    parts = [str(processes.device)]
    if processes.device.type == "cpu":
        parts.append(_count(torch.get_num_threads(), "thread"))
    if processes.world_size > 1:
        parts.append(f"{processes.world_size} processes")
    parts.append(training.recipe.dtype)
    if training.is_compiled:
        parts.append("compiled before the first step")
    return ", ".join(parts)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def show_excerpt(run: OpenRun, console: Console, title: str, *, seed: int) -> None:
    """Print a sample of the model."""
    if run.training.processes.is_main:
        text = excerpt(run.training, seed=seed)
        console.print(Panel(escape(text), title=title, title_align="left"))


def show_training(
    run: OpenRun,
    console: Console,
    *,
    sample_every: int,
    trackers: Trackers | None = None,
    profiler: Profiler | None = None,
) -> bool:
    """Train to the end, or until a stop is requested, with a live line and samples.

    sample_every: steps between two samples.

    Returns whether the run reached its end.
    """
    training, seed = run.training, run.settings.recipe.seed
    view = RunView(console, training)
    first, started = training.step, time.perf_counter()
    with stopping_on_signals(console) as asked_to_stop, view.live():
        for record in train_run(run, asked_to_stop, view.show_evaluation):
            if trackers is not None and training.processes.is_main:
                trackers.show(record)
            if profiler is not None:
                profiler.step()
            view.show(record)
            _print_events(record, console)
            is_last = training.is_done or training.is_stopping
            if record.step % sample_every == 0 and not is_last:
                show_excerpt(run, console, f"after {record.step:,} steps", seed=seed + record.step)
    seconds = time.perf_counter() - started
    made = training.step - first
    console.print(f"Trained {counted(made, 'step')} in {counted(round(seconds), 'second')}.")
    if training.is_stopping:
        console.print(
            f"Interrupted after step {training.step:,}; everything is saved.\n"
            f"Resume with: {resume_command(run)}",
            highlight=False,
            soft_wrap=True,
            markup=False,
        )
    return not training.is_stopping


def _print_events(record: RunRecord, console: Console) -> None:
    """Print a line if a step's update was skipped, and one if it was evaluated."""
    if record.skipped is not None:
        console.print(f"step {record.step:,}: update skipped, {SKIPPED[record.skipped]}")
    if record.val_loss is not None:
        console.print(
            f"step {record.step:,}: held-out loss {record.val_loss:.3f}"
            f"{_choices_line(record.scores)}",
            highlight=False,
        )


def _choices_line(scores: Mapping[str, float]) -> str:
    if ACC not in scores:
        return ""
    return (
        f", choices acc {scores[ACC]:.1%}, acc_norm {scores[ACC_NORM]:.1%}, "
        f"{scores[BITS_PER_BYTE]:.3f} bits per byte"
    )


SKIPPED = {
    "overflow": "a float16 gradient overflowed",
    "spike": "the gradient is far larger than before",
}


@contextmanager
def stopping_on_signals(console: Console) -> Iterator[StopRequest]:
    """In this context, a signal or the loss of the output requests the run to stop.

    The first signal is acknowledged on the screen at once.
    """
    request = StopRequest()
    if isinstance(console.file, LastingOutput):
        console.file.on_loss = request.make
        if console.file.is_lost:
            request.make()

    def acknowledge() -> None:
        console.print(
            "Stopping after this step; interrupt again to stop at once and lose it.", style="yellow"
        )

    with stop_on_signals(request, acknowledge):
        yield request


def resume_command(run: OpenRun) -> str:
    """The command that resumes a run; with several machines, torchrun's flags are left out."""
    folder = shell_word(run.folder)
    solution = binding.option(run.training.solution)
    command = f"train --out {folder} --resume{solution}"
    processes = run.training.processes
    if processes.world_size == 1:
        return f"gpt2-small {command}"
    is_one_machine = os.environ.get("LOCAL_WORLD_SIZE") == str(processes.world_size)
    flags = f"--standalone --nproc-per-node {processes.world_size}" if is_one_machine else "..."
    device = " --device cpu" if processes.device.type == "cpu" else ""
    return f"torchrun {flags} -m gpt2_small {command}{device}"


def draw(run: OpenRun, lines: dict[str, float]) -> None:
    """Save the loss curve beside the log. Raises UserError when it cannot be written."""
    log = read_log(run.folder)
    losses = [record["val_loss"] for record in log if record.get("val_loss") is not None]
    last = f": held-out loss {losses[-1]:.3f}" if losses else ""
    if run.training.processes.is_main and log:
        save_loss_curve(
            run.folder / CURVE,
            log,
            title=f"{Path(run.data.name).name}, {len(log):,} steps{last}",
            reference_lines=lines,
            chance=chance(run.questions),
        )
