"""Train a small GPT-2 before your eyes.

python demos/train_demo.py                        short stories, about two minutes
python demos/train_demo.py --data plays.txt       any text
torchrun --nproc-per-node 2 demos/train_demo.py   two processes that train as one
"""

import math
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from torch import nn

from gpt2_small import binding
from gpt2_small.entry_point import INTERRUPTED, bind_solution, run_command
from gpt2_small.generation import sample_many
from gpt2_small.model.presets import preset
from gpt2_small.runs import append_log, create_run, read_log, save_checkpoint
from gpt2_small.text import stories
from gpt2_small.text.corpora import load_corpus
from gpt2_small.training.data import StoriesData, TextData
from gpt2_small.training.distributed import Processes, joined_processes
from gpt2_small.training.plot import save_loss_curve
from gpt2_small.training.recipe import Recipe
from gpt2_small.training.run import evaluate, run
from gpt2_small.training.view import RunView

STORIES_RECIPE = Recipe(
    max_steps=2800,
    batch_size=8,
    learning_rate=3e-3,
    warmup_steps=50,
    final_fraction=0.0,
    weight_decay=0.0,
    beta2=0.98,
)
# With larger token embeddings a small model learns early what to copy from earlier in a story.
STORY_EMBEDDING_SCALE = 2.5
TEXT_RECIPE = Recipe(max_steps=1000, batch_size=16, learning_rate=2e-3)
JUDGED_STORIES = 1000
JUDGED_STORIES_OF_A_LEARNER = 100  # a learner's file writes without the fast twin
STORIES_TO_CHOOSE_FROM = 8
LOOKS_ON_THE_WAY = 4
EXCERPT_TOKENS = 240
STORY_ROWS = {
    "parsed": "stories that parse",
    "agreed": "stories that agree, too",
    "novel": "stories not in the training text",
}

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@dataclass(frozen=True)
class Demo:
    """A model, what it is trained on, and where the result goes."""

    solution: ModuleType
    model: nn.Module
    data: StoriesData | TextData
    recipe: Recipe
    processes: Processes
    console: Console
    folder: Path
    judged_stories: int

    @property
    def config(self) -> Any:
        return self.model.config

    def loss(self) -> float:
        return evaluate(self.solution, self.model, self.data, self.processes)

    def samples(
        self, count: int, *, new_tokens: int, seed: int, stop_token: int | None = None
    ) -> list[list[int]]:
        """Token ids that the model writes at temperature 1 after the beginning of a text."""
        start, stop = self.data.start_token, stop_token
        return sample_many(
            self.solution, self.model, start, count, new_tokens, seed=seed, stop_token=stop
        )

    def sampled_stories(self, count: int, *, seed: int) -> list[str]:
        """Stories that the model writes, each up to where it begins another."""
        new_tokens, begin = self.config.n_ctx - 1, self.data.start_token
        return [
            self.data.tokenizer.decode(ids).split("\n")[0]
            for ids in self.samples(count, new_tokens=new_tokens, seed=seed, stop_token=begin)
        ]

    def show_sample(self, title: str, *, seed: int) -> None:
        if not self.processes.is_main:
            return
        if isinstance(self.data, StoriesData):
            written = self.sampled_stories(STORIES_TO_CHOOSE_FROM, seed=seed)
            text = next((story for story in written if story), "(it ended before the first word)")
        else:
            ids = self.samples(1, new_tokens=EXCERPT_TOKENS, seed=seed)[0]
            text = self.data.tokenizer.decode(ids[1:])
        self.console.print(Panel(escape(text.strip()), title=title, title_align="left"))

    def judgement(self) -> stories.Judgement | None:
        if not isinstance(self.data, StoriesData) or not self.processes.is_main:
            return None
        self.console.print(f"Judging {self.judged_stories:,} sampled stories ...", style="dim")
        sampled = self.sampled_stories(self.judged_stories, seed=self.recipe.seed)
        return stories.judge(sampled, stories.training_text(self.data.seed))


def reference_lines(data: StoriesData | TextData) -> dict[str, float]:
    """Losses to compare with, in nats per token: a guess, one token back, the best there is."""
    lines = {
        "uniform, ln V": math.log(data.tokenizer.vocab_size),
        "best bigram": data.bigram_loss(),
    }
    if isinstance(data, StoriesData):
        lines["floor"] = stories.entropy_per_token(data.n_ctx)
    return lines


def print_plan(demo: Demo) -> None:
    """Say what is about to happen."""
    config, recipe = demo.config, demo.recipe
    parameters = sum(parameter.numel() for parameter in demo.model.parameters())
    tokens = recipe.max_steps * recipe.batch_size * config.n_ctx
    plan = Table.grid(padding=(0, 2))
    plan.add_column(style="bold")
    plan.add_column()
    plan.add_row("solution", binding.describe(demo.solution))
    plan.add_row("data", f"{demo.data.name}, {config.d_vocab:,} different tokens")
    plan.add_row(
        "model",
        f"{config.n_layers} layers of width {config.d_model}, {config.n_heads} heads, "
        f"context {config.n_ctx}: {parameters:,} parameters",
    )
    plan.add_row(
        "training",
        f"{recipe.max_steps:,} steps of {recipe.batch_size} windows: {tokens:,} tokens, "
        f"seed {recipe.seed}",
    )
    threads = f", {torch.get_num_threads()} threads" if demo.processes.device.type == "cpu" else ""
    several = f", {demo.processes.world_size} processes" if demo.processes.world_size > 1 else ""
    plan.add_row("device", f"{demo.processes.device}{threads}{several}")
    plan.add_row("run folder", str(demo.folder))
    demo.console.print(Panel(plan, title="Training a small GPT-2", title_align="left"))


def train(demo: Demo) -> int:
    """Train to the end or to an interrupt, with a live line and samples; return the steps made."""
    view = RunView(demo.console, demo.recipe.max_steps)
    records = run(demo.solution, demo.model, demo.data, demo.recipe, demo.processes)
    look_every = max(1, demo.recipe.max_steps // LOOKS_ON_THE_WAY)
    done = 0
    try:
        with view.live():
            for record in records:
                done = record.step
                if demo.processes.is_main:
                    append_log(demo.folder, record.as_json())
                    view.show(record)
                if done % look_every == 0 and done < demo.recipe.max_steps:
                    demo.show_sample(f"after {done} steps", seed=demo.recipe.seed + done)
    except KeyboardInterrupt:
        demo.console.print(f"Interrupted after {done} steps; keeping what was learned.")
    return done


def print_result(
    demo: Demo,
    lines: dict[str, float],
    losses: tuple[float, float],
    judgements: tuple[stories.Judgement | None, stories.Judgement | None],
) -> None:
    """The table at the end: before and after, beside what can be compared."""
    table = Table(title="Before and after", title_justify="left")
    table.add_column("")
    for heading in ("before", "after", "95 % interval"):
        table.add_column(heading, justify="right")
    table.add_row("held-out loss, nats per token", *(f"{loss:.3f}" for loss in losses))
    for name, value in lines.items():
        table.add_row(f"  {name}", "", f"{value:.3f}", style="dim")
    before, after = judgements
    if before and after:
        table.add_section()
        for name, label in STORY_ROWS.items():
            low, high = getattr(after, name).interval
            shares = [f"{getattr(judgement, name).share:.1%}" for judgement in (before, after)]
            table.add_row(label, *shares, f"{low:.1%} to {high:.1%}")
    demo.console.print(table)
    if "floor" in lines:
        above = losses[1] / lines["floor"] - 1
        demo.console.print(f"The loss is {above:.1%} above the floor, which no model can beat.")


def run_demo(demo: Demo) -> None:
    """Look, train, look again, and keep everything in the run's folder."""
    print_plan(demo)
    if demo.processes.is_main:
        create_run(
            demo.folder,
            model_fields=asdict(demo.config),
            tokenizer=demo.data.tokenizer,
            run={"data": demo.data.name, **asdict(demo.recipe)},
        )
    lines = reference_lines(demo.data)
    loss_before, judgement_before = demo.loss(), demo.judgement()
    demo.show_sample("before training", seed=demo.recipe.seed)

    started = time.perf_counter()
    steps = train(demo)
    seconds = time.perf_counter() - started
    loss_after = demo.loss()
    if demo.processes.is_main and steps > 0:
        save_checkpoint(demo.folder, steps, demo.model)
        save_loss_curve(
            demo.folder / "loss.png",
            read_log(demo.folder),
            title=f"{demo.data.name}, {steps:,} steps: held-out loss {loss_after:.3f}",
            reference_lines=lines,
        )
    demo.console.print(f"Trained {steps:,} steps in {seconds:.0f} seconds.")
    demo.show_sample("after training", seed=demo.recipe.seed + 1)
    judgements = (judgement_before, demo.judgement())
    print_result(demo, lines, (loss_before, loss_after), judgements)
    demo.console.print(
        f"Loss curve: {demo.folder / 'loss.png'}\n"
        f"Next: python demos/generate_demo.py --model {demo.folder}",
        highlight=False,
    )
    if steps < demo.recipe.max_steps:
        raise SystemExit(INTERRUPTED)


def judged_by_default() -> int:
    """How many stories can be sampled in some seconds."""
    is_reference = binding.is_reference(binding.bound())
    return JUDGED_STORIES if is_reference else JUDGED_STORIES_OF_A_LEARNER


def unused_folder(name: str) -> Path:
    """A folder in runs/ that is not there yet: the data's name, or with -2, -3 and so on."""
    folder, number = Path("runs") / Path(name).stem, 1
    while folder.exists():
        number += 1
        folder = Path("runs") / f"{Path(name).stem}-{number}"
    return folder


def open_data(source: str, tokenizer: str | None, n_ctx: int) -> StoriesData | TextData:
    """What `--data` names, cut into windows."""
    if source == "stories":
        return StoriesData(n_ctx)
    return TextData(load_corpus(source, tokenizer=tokenizer, n_ctx=n_ctx), n_ctx)


@app.command()
def main(
    data: Annotated[
        str, typer.Option(help="stories, a text file, or hub:NAME for a data set of the hub.")
    ] = "stories",
    tokenizer: Annotated[
        str | None, typer.Option(help="For a text: char, byte, bpe:SIZE or gpt2.")
    ] = None,
    preset_name: Annotated[
        str | None, typer.Option("--preset", help="The model's shape: stories, characters, ...")
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
    flags: dict[str, Any] = {
        "max_steps": max_steps,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
    }
    given = {name: value for name, value in flags.items() if value is not None}
    recipe = replace(STORIES_RECIPE if data == "stories" else TEXT_RECIPE, seed=seed, **given)
    recipe = replace(recipe, evaluate_every=max(1, recipe.max_steps // 10))
    shape = preset_name or ("stories" if data == "stories" else "characters")
    opened = open_data(data, tokenizer, preset(shape).n_ctx)
    config = preset(shape, d_vocab=opened.tokenizer.vocab_size)
    with joined_processes(device) as processes:
        torch.manual_seed(recipe.seed)
        model = binding.bound().Transformer(config).to(processes.device)
        if shape == "stories":
            with torch.no_grad():
                model.embed.W_E.mul_(STORY_EMBEDDING_SCALE)
        run_demo(
            Demo(
                solution=binding.bound(),
                model=model,
                data=opened,
                recipe=recipe,
                processes=processes,
                console=Console(quiet=not processes.is_main),
                folder=out or unused_folder(opened.name),
                judged_stories=judge or judged_by_default(),
            )
        )


if __name__ == "__main__":
    run_command(app)
