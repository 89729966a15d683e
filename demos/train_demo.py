"""Train a small GPT-2 with live output.

python demos/train_demo.py                        short stories, about two minutes
python demos/train_demo.py --chat                 then answers about stories, about four minutes
python demos/train_demo.py --data plays.txt       any text
torchrun --nproc-per-node 2 demos/train_demo.py   two processes that train as one
"""

from gpt2_small.interrupts import loading

with loading():
    from collections.abc import Callable
    from pathlib import Path
    from typing import Annotated, Any, TypeVar

    import typer
    from rich.console import Console

    from gpt2_small import binding
    from gpt2_small.commands.options.flags import Device, Solution
    from gpt2_small.commands.screens.command_classes import Command
    from gpt2_small.data.conversations.chat_folder import holds_chats
    from gpt2_small.data.conversations.chat_sources import DIALOGUES
    from gpt2_small.data.conversations.prepare_chats import ChatOptions, prepare_chats
    from gpt2_small.entry_point import bind_solution, run_command
    from gpt2_small.errors import UserError, shell_word
    from gpt2_small.evaluation.target_leak import sees_targets
    from gpt2_small.runs.folder import is_run
    from gpt2_small.training.display.chat_progress import (
        ChatStanding,
        chat_standing,
        print_chat_result,
        print_loss_by_turn,
    )
    from gpt2_small.training.display.overview import (
        draw,
        print_plan,
        reference_lines,
        show_excerpt,
        show_training,
    )
    from gpt2_small.training.display.text_progress import (
        TextStanding,
        print_text_result,
        text_standing,
    )
    from gpt2_small.training.distributed import Processes, joined_processes
    from gpt2_small.training.recipes.training_presets import training_preset
    from gpt2_small.training.session import OpenRun, open_run

EVALUATIONS = 10
SAMPLES_ON_THE_WAY = 4
STORIES_RUN = Path("runs/stories")
CHATS = Path("data/dialogues")
JUDGED_STORIES = 1000
JUDGED_STORIES_OF_A_LEARNER = 100  # a learner's file generates without the fast twin

Scores = TypeVar("Scores")

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def train_and_draw(run: OpenRun, console: Console, lines: dict[str, float]) -> bool:
    """Train, and draw the loss curve; return whether the run reached its end.

    After an interrupt the screen says how to resume, and nothing is scored.
    """
    every = max(1, run.settings.recipe.max_steps // SAMPLES_ON_THE_WAY)
    reached_its_end = show_training(run, console, sample_every=every)
    draw(run, lines)
    if not reached_its_end:
        console.print(loss_curve(run), highlight=False)
    return reached_its_end


def loss_curve(run: OpenRun) -> str:
    """Return the line that says where the plot is."""
    return f"Loss curve: {run.folder / 'loss.png'}"


def run_demo(
    run: OpenRun,
    console: Console,
    title: str,
    score: Callable[[], Scores],
    show_result: Callable[[dict[str, float], Scores], None],
) -> None:
    """Score, train, score again.

    show_result: scores the trained model, and prints the result; called with the reference losses
        and the first scores, unless training was interrupted.
    """
    seed = run.settings.recipe.seed
    print_plan(run, console, title)
    lines = reference_lines(run.data)
    before = score()
    show_excerpt(run, console, "before training", seed=seed)
    if train_and_draw(run, console, lines):
        show_excerpt(run, console, "after training", seed=seed + 1)
        show_result(lines, before)


def run_text_demo(run: OpenRun, console: Console, stories: int) -> None:
    """Train on stories or another text. Exits with 1 if the model sees its targets."""

    def score() -> TextStanding:
        return text_standing(run, console, stories)

    def show_result(lines: dict[str, float], before: TextStanding) -> None:
        after = score()
        print_text_result(console, lines, before, after)
        print_next(run, console, f"python demos/generate_demo.py --model {run.folder}")
        if "floor" in lines and sees_targets(after.loss, lines["floor"]):
            raise typer.Exit(1)

    run_demo(run, console, "Training a small GPT-2", score, show_result)


def run_chat_demo(run: OpenRun, console: Console, dialogues: int) -> None:
    """Fine-tune on dialogues."""

    def score() -> ChatStanding:
        return chat_standing(run, console, dialogues)

    def show_result(lines: dict[str, float], before: ChatStanding) -> None:
        print_loss_by_turn(run, console)
        print_chat_result(console, lines, before, score())
        print_next(run, console, f"gpt2-small chat {run.folder}")

    run_demo(run, console, "Training a small GPT-2 to answer", score, show_result)


def print_next(run: OpenRun, console: Console, command: str) -> None:
    """Print the picture's file and the next command, for the solution in use."""
    option = binding.option(binding.bound())
    console.print(f"{loss_curve(run)}\nNext: {command}{option}", highlight=False)


def prepare_dialogues(processes: Processes, console: Console) -> None:
    """Prepare the dialogues if needed. All processes must call this."""

    def made() -> None:
        if not holds_chats(CHATS):
            console.print(f"Preparing {CHATS} ...", style="dim")
            prepare_chats(DIALOGUES, CHATS, ChatOptions())

    processes.on_main(made)


def interrupted(run: OpenRun) -> str:
    """Return the message after Ctrl-C outside training, which handles its own."""
    if run.training.step == 0:
        again = f"gpt2-small train --out {shell_word(run.folder)} --resume"
        return f"Interrupted before training. Train it with: {again}"
    return f"Interrupted; the run is in {run.folder}, trained to step {run.training.step:,}."


def existing_run(folder: Path) -> Path:
    """The folder, if it holds a run to fine-tune. Raises UserError otherwise."""
    if not is_run(folder):
        raise UserError(
            f"there is no run in {folder}; make it with `python demos/train_demo.py`, or "
            "give another with --init-from"
        )
    return folder


def judged_stories() -> int:
    """The stories to judge: fewer for a learner's file."""
    is_reference = binding.is_reference(binding.bound())
    return JUDGED_STORIES if is_reference else JUDGED_STORIES_OF_A_LEARNER


def unused_folder(name: str) -> Path:
    """Return a new folder in runs/: the data's name, with -2, -3, ... if taken."""
    folder, number = Path("runs") / Path(name).stem, 1
    while folder.exists():
        number += 1
        folder = Path("runs") / f"{Path(name).stem}-{number}"
    return folder


@app.command(cls=Command)
def main(
    data: Annotated[
        str, typer.Option(help="stories, a text file, a prepared folder, or hub:NAME.")
    ] = "stories",
    tokenizer: Annotated[
        str | None, typer.Option(help="For a text: char, byte, bpe:SIZE or gpt2.")
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="stories, characters, shakespeare-cpu, ...")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The run's folder (default: new in runs/).")
    ] = None,
    max_steps: Annotated[int | None, typer.Option(help="Optimiser steps in all.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Windows per step.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    seed: Annotated[int, typer.Option(help="Seed for weights and data order.")] = 0,
    judge: Annotated[
        int | None,
        typer.Option(min=1, help="Stories to judge (default: 1000; own file: 100)."),
    ] = None,
    chat: Annotated[
        bool, typer.Option("--chat", help="Fine-tune the stories' run to a chat.")
    ] = False,
    init_from: Annotated[
        Path | None, typer.Option(help="With --chat: the stories' run (default: runs/stories).")
    ] = None,
    device: Device = None,
    solution: Solution = None,
) -> None:
    """Train a small GPT-2 with live output, on short stories or on your own text."""
    bind_solution(solution)
    if chat:
        given = {"--data": data != "stories", "--preset": preset, "--tokenizer": tokenizer}
        for flag in filter(given.get, given):
            raise UserError(f"--chat trains on the dialogues; leave {flag} out")
        data, preset, init_from = str(CHATS), "chat-stories", existing_run(init_from or STORIES_RUN)
    elif init_from is not None:
        raise UserError("--init-from is for --chat; leave it out, or use `gpt2-small train`")
    settings = training_preset(preset or ("stories" if data == "stories" else "characters"))
    steps = max_steps or settings.recipe.max_steps
    flags: dict[str, Any] = {
        "data": data,
        "seed": seed,
        "max_steps": max_steps,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "tokenizer": tokenizer,
        "init_from": None if init_from is None else str(init_from),
        "evaluate_every": max(1, steps // (SAMPLES_ON_THE_WAY if chat else EVALUATIONS)),
    }
    changes = {name: value for name, value in flags.items() if value is not None}
    stories = judge or judged_stories()
    folder = out or unused_folder("chat" if chat else data)
    with joined_processes(device) as processes:
        console = Console(quiet=not processes.is_main)
        if chat:
            prepare_dialogues(processes, console)
        with open_run(binding.bound(), folder, settings, changes, processes) as run:
            try:
                (run_chat_demo if chat else run_text_demo)(run, console, stories)
            except KeyboardInterrupt:
                raise KeyboardInterrupt(interrupted(run)) from None


if __name__ == "__main__":
    run_command(app)
