"""Train a small GPT-2 before your eyes.

python demos/train_demo.py                        short stories, about two minutes
python demos/train_demo.py --data plays.txt       any text
torchrun --nproc-per-node 2 demos/train_demo.py   two processes that train as one
"""

from gpt2_small.interrupts import loading

with loading():
    from dataclasses import dataclass
    from pathlib import Path
    from typing import Annotated, Any

    import typer
    from rich.console import Console
    from rich.table import Table

    from gpt2_small import binding
    from gpt2_small.entry_point import bind_solution, run_command
    from gpt2_small.stories import Judgement
    from gpt2_small.training.display.overview import (
        draw,
        print_plan,
        reference_lines,
        show_excerpt,
        watch,
    )
    from gpt2_small.training.display.samples import judged
    from gpt2_small.training.distributed import joined_processes
    from gpt2_small.training.presets import training_preset
    from gpt2_small.training.session import OpenRun, open_run
    from gpt2_small.training.training_data import StoriesData

EVALUATIONS = 10
LOOKS_ON_THE_WAY = 4
JUDGED_STORIES = 1000
JUDGED_STORIES_OF_A_LEARNER = 100  # a learner's file writes without the fast twin
STORY_ROWS = {
    "parsed": "stories that parse",
    "agreed": "stories that agree, too",
    "novel": "stories not in the training text",
}

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@dataclass(frozen=True)
class Standing:
    """How good the model is at a moment: its held-out loss, and its stories where it writes any."""

    loss: float
    judgement: Judgement | None


def standing(run: OpenRun, console: Console, stories: int) -> Standing:
    loss, judgement = run.training.evaluate(), None
    assert loss is not None  # nobody asks to stop
    if isinstance(run.data, StoriesData) and run.training.processes.is_main:
        console.print(f"Judging {stories:,} sampled stories ...", style="dim")
        judgement = judged(run.training, stories)
    return Standing(loss, judgement)


def print_result(
    console: Console, lines: dict[str, float], before: Standing, after: Standing
) -> None:
    """The table at the end: before and after, beside what can be compared."""
    table = Table(title="Before and after", title_justify="left")
    table.add_column("")
    for heading in ("before", "after", "95 % interval"):
        table.add_column(heading, justify="right")
    losses = [f"{standing.loss:.3f}" for standing in (before, after)]
    table.add_row("held-out loss, nats per token", *losses)
    for name, value in lines.items():
        table.add_row(f"  {name}", "", f"{value:.3f}", style="dim")
    if before.judgement and after.judgement:
        table.add_section()
        for name, label in STORY_ROWS.items():
            low, high = getattr(after.judgement, name).interval
            shares = [
                f"{getattr(judgement, name).share:.1%}"
                for judgement in (before.judgement, after.judgement)
            ]
            table.add_row(label, *shares, f"{low:.1%} to {high:.1%}")
    console.print(table)
    if "floor" in lines:
        above = after.loss / lines["floor"] - 1
        console.print(f"The loss is {above:.1%} above the floor, which no model can beat.")


def run_demo(run: OpenRun, console: Console, stories: int) -> None:
    """Look, train, look again."""
    seed, steps = run.settings.recipe.seed, run.settings.recipe.max_steps
    print_plan(run, console, "Training a small GPT-2")
    lines = reference_lines(run.data)
    before = standing(run, console, stories)
    show_excerpt(run, console, "before training", seed=seed)
    watch(run, console, look_every=max(1, steps // LOOKS_ON_THE_WAY))
    draw(run, lines)
    show_excerpt(run, console, "after training", seed=seed + 1)
    print_result(console, lines, before, standing(run, console, stories))
    console.print(
        f"Loss curve: {run.folder / 'loss.png'}\n"
        f"Next: python demos/generate_demo.py --model {run.folder}"
        f"{binding.option(binding.bound())}",
        highlight=False,
    )


def unused_folder(name: str) -> Path:
    """A folder in runs/ that is not there yet: the data's name, or with -2, -3 and so on."""
    folder, number = Path("runs") / Path(name).stem, 1
    while folder.exists():
        number += 1
        folder = Path("runs") / f"{Path(name).stem}-{number}"
    return folder


@app.command()
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
    out: Annotated[Path | None, typer.Option(help="The run's folder; a new one in runs/.")] = None,
    max_steps: Annotated[int | None, typer.Option(help="Updates of the weights.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Windows in a step.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="The highest learning rate.")] = None,
    seed: Annotated[int, typer.Option(help="Of the weights and the order of the data.")] = 0,
    judge: Annotated[
        int | None,
        typer.Option(min=1, help="Stories to sample and judge; 1000, or 100 of your own file."),
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1 or mps.")] = None,
    solution: Annotated[
        Path | None, typer.Option(help="Your own file instead of the reference.")
    ] = None,
) -> None:
    """Train a small GPT-2 before your eyes, on short stories or on a text of your own."""
    bind_solution(solution)
    settings = training_preset(preset or ("stories" if data == "stories" else "characters"))
    flags: dict[str, Any] = {
        "max_steps": max_steps,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "tokenizer": tokenizer,
    }
    changes = {name: value for name, value in flags.items() if value is not None}
    steps = max_steps or settings.recipe.max_steps
    changes |= {"data": data, "seed": seed, "evaluate_every": max(1, steps // EVALUATIONS)}
    is_reference = binding.is_reference(binding.bound())
    stories = judge or (JUDGED_STORIES if is_reference else JUDGED_STORIES_OF_A_LEARNER)
    with (
        joined_processes(device) as processes,
        open_run(binding.bound(), out or unused_folder(data), settings, changes, processes) as run,
    ):
        run_demo(run, Console(quiet=not processes.is_main), stories)


if __name__ == "__main__":
    run_command(app)
