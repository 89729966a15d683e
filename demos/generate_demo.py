"""Sample from GPT-2, step by step.

python demos/generate_demo.py                       a model that knows nothing, then trained ones
python demos/generate_demo.py --model runs/stories  a run, a Hugging Face folder, or gpt2
"""

import json
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

from gpt2_small.interrupts import loading

with loading():
    import torch
    import typer
    from rich.console import Console
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    from gpt2_small import binding
    from gpt2_small.commands.options.flags import Device, Solution
    from gpt2_small.commands.screens.command_classes import Command
    from gpt2_small.devices import find_device
    from gpt2_small.entry_point import bind_solution, run_command
    from gpt2_small.errors import UserError
    from gpt2_small.generation import LoadedModel, SamplingOptions, continuations, open_model
    from gpt2_small.generation.sampling.drawn_shares import drawn_shares, next_logits
    from gpt2_small.generation.terminal_text import on_one_line, print_anything, visible
    from gpt2_small.model.presets import preset
    from gpt2_small.stories import StoriesTokenizer
    from gpt2_small.tokenizers.registry import GPT2Tokenizer, Tokenizer
    from gpt2_small.weights import newest_run
    from gpt2_small.weights.hub_models import fetch

RUNS = Path("runs")
WIDTH = 80
DEFAULT_PROMPT = "Once upon a time"
NEW_TOKENS = 32
CONTINUATIONS = 5
TEMPERATURES = (0.0, 0.5, 1.0, 1.5)
TOP_K = 4
TOP_P = 0.8
BARS = 12
BAR_WIDTH = 20
DRAWS = 300
HUB_SECONDS = 1.0

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@dataclass(frozen=True)
class Demo:
    """The prompt for all models, and the console."""

    solution: ModuleType
    console: Console
    prompt: str
    seed: int
    device: torch.device

    def say(self, text: str, style: str = "") -> None:
        self.console.print(Text(text, style=style))

    def begin(self, title: str, about: str) -> None:
        self.console.print()
        self.console.rule(Text(title, style="bold"), align="left")
        self.say(about)

    def written(self, loaded: LoadedModel, **options: Any) -> list[str]:
        """Return continuations of the prompt, all with the same number of tokens."""
        wanted = SamplingOptions(
            max_new_tokens=NEW_TOKENS, stop_tokens=(), seed=self.seed, **options
        )
        rows = continuations(self.solution, loaded, [self.prompt], wanted)
        return [row.text for row in rows]

    def show(self, label: str, text: str) -> None:
        """Print a label, the prompt and a continuation."""
        table = Table.grid(padding=(0, 2))
        table.add_column(style="bold", min_width=5)
        table.add_column(overflow="fold")
        line = Text(on_one_line(self.prompt), style="dim")
        table.add_row(label, line.append(Text(on_one_line(text), style="not dim")))
        self.console.print(table)

    def show_five(self, loaded: LoadedModel) -> None:
        texts = self.written(loaded, num_samples=CONTINUATIONS)
        for number, text in enumerate(texts, start=1):
            self.show(str(number), text)


# One step: the model's prediction, and the tokens that `sample` draws from it


def show_cut(demo: Demo, loaded: LoadedModel, label: str, **cut: Any) -> None:
    """The most likely tokens as bars, before and after a cut, and a text written with it."""
    logits = next_logits(loaded, demo.prompt)
    before = logits[0].softmax(dim=-1)
    after = drawn_shares(demo.solution, logits, DRAWS, seed=demo.seed, **cut)
    table = Table(box=None, padding=(0, 1), show_edge=False)
    table.add_column("next token", width=17, no_wrap=True)
    table.add_column("before: probability", width=BAR_WIDTH + 8, no_wrap=True)
    table.add_column(f"after: share of {DRAWS} draws", no_wrap=True)
    best = before.topk(min(BARS, loaded.tokenizer.vocab_size)).indices.tolist()
    longest = max(before.max().item(), after.max().item())
    for id in best:
        token = json.dumps(visible(loaded.tokenizer.decode([id])), ensure_ascii=False)
        shares = (before[id].item(), after[id].item())
        table.add_row(Text(token), *(bar(share, longest) for share in shares))
    demo.console.print(table)
    demo.say(
        f"These {len(best)} of {loaded.tokenizer.vocab_size:,} tokens have "
        f"{percent(before[best].sum().item())} before, and {percent(after[best].sum().item())} "
        "of the draws after.",
        style="dim",
    )
    demo.show(label, demo.written(loaded, **cut)[0])


def bar(share: float, longest: float) -> Text:
    eighths = round(8 * BAR_WIDTH * share / longest)
    full, rest = divmod(eighths, 8)
    blocks = "█" * full + (" ▏▎▍▌▋▊▉"[rest] if rest else "")
    return Text.assemble((blocks, "cyan"), " " if blocks else "", percent(share))


def percent(share: float) -> str:
    """Format a share with two significant digits."""
    return "0%" if share == 0 else f"{100 * share:.2g}%" if share < 0.1 else f"{share:.0%}"


# The models


def random_model(demo: Demo) -> LoadedModel:
    """Return an untrained small GPT-2 with the stories' tokenizer, or GPT-2's for other prompts."""
    tokenizer: Tokenizer = StoriesTokenizer()
    try:
        tokenizer.encode(demo.prompt)
    except UserError:
        tokenizer = GPT2Tokenizer()
    torch.manual_seed(demo.seed)
    config = preset("stories", d_vocab=tokenizer.vocab_size, n_ctx=1024)
    model = demo.solution.Transformer(config).to(demo.device).eval()
    return LoadedModel("the model of random weights", model, tokenizer)


def trained_model(demo: Demo, model: str | None) -> LoadedModel | None:
    """Return the named model or the newest run; None and the reason if there is none.

    Raises UserError for a requested model that cannot be used, and for a prompt that is too long.
    """
    if model is not None:
        loaded = open_model(model, device=demo.device)
        loaded.check_fits(demo.prompt)
        return loaded
    run = newest_run(RUNS)
    if run is None:
        demo.say("No run yet: python demos/train_demo.py makes one, in about two minutes.")
        return None
    try:
        loaded = open_model(run, device=demo.device)
        loaded.tokenizer.encode(demo.prompt)
    except UserError as error:
        demo.say(f"Without {run}: {error}")
        return None
    loaded.check_fits(demo.prompt)
    return loaded


def hub_model(demo: Demo) -> LoadedModel | None:
    """Return the real GPT-2, downloaded if needed; None and the reason if unavailable."""
    try:
        folder = fetch("gpt2", answer_seconds=HUB_SECONDS)
    except UserError:
        demo.say("Skipping the real GPT-2: not downloaded, and the Hub is unreachable.")
        return None
    loaded = open_model(folder, device=demo.device)
    return LoadedModel("gpt2", loaded.model, loaded.tokenizer)


# The demo


def print_plan(demo: Demo) -> None:
    plan = Table.grid(padding=(0, 2))
    plan.add_column(style="bold")
    plan.add_column(overflow="fold")
    plan.add_row("solution", Text(binding.describe(demo.solution)))
    plan.add_row("prompt", Text(on_one_line(demo.prompt) or "(empty)"))
    plan.add_row("shown", "a model of random weights; temperature, top-k and top-p;")
    plan.add_row("", "then trained weights, if there are any")
    plan.add_row("", f"{CONTINUATIONS} continuations of {NEW_TOKENS} tokens each")
    plan.add_row("device", f"{demo.device}, seed {demo.seed}")
    demo.console.print(Panel(plan, title="Choosing the next token", title_align="left"))


def run_demo(demo: Demo, model: str | None) -> None:
    """Show an untrained model, the sampling options, and trained models."""
    print_plan(demo)
    untrained = random_model(demo)
    untrained.check_fits(demo.prompt)
    trained = trained_model(demo, model)

    demo.begin("Random weights", "An untrained small GPT-2 writes nonsense:")
    demo.show_five(untrained)

    shown = trained or untrained
    demo.begin(
        f"Temperature, by {shown.name}",
        "Divides the logits: 0 takes the most likely token, above 1 is more random.",
    )
    for temperature in TEMPERATURES:
        demo.show(f"T {temperature:g}", demo.written(shown, temperature=temperature)[0])
    demo.begin(f"Top-k, by {shown.name}", f"Draw from the {TOP_K} most likely tokens only.")
    show_cut(demo, shown, f"k {TOP_K}", top_k=TOP_K)
    demo.begin(
        f"Top-p, by {shown.name}",
        f"Draw from the most likely tokens that together have a probability of {TOP_P}.",
    )
    show_cut(demo, shown, f"p {TOP_P}", top_p=TOP_P)

    demo.begin("Trained weights", "The same prompt, at temperature 1.")
    for loaded in (trained, hub_model(demo) if model is None else None):
        if loaded is not None:
            demo.say(f"{loaded.name}:", style="bold")
            demo.show_five(loaded)
    if trained is not None:
        name = shlex.quote(model or str(newest_run(RUNS)))
        command = f"gpt2-small sample --model {name} --prompt {shlex.quote(demo.prompt)}"
        command += binding.option(demo.solution)
        demo.console.print(Text(f"Next: {command}"), soft_wrap=True)


@app.command(cls=Command)
def main(
    prompt: Annotated[str, typer.Option(help="Text to continue.")] = DEFAULT_PROMPT,
    model: Annotated[
        str | None, typer.Option(help="Run, folder or gpt2 (default: newest run).")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same texts.")] = 0,
    device: Device = None,
    solution: Solution = None,
) -> None:
    """Sample from GPT-2: untrained, with temperature, top-k and top-p, and trained."""
    bind_solution(solution)
    print_anything(sys.stdout)
    console = Console(highlight=False)
    console.width = min(WIDTH, console.width)
    run_demo(Demo(binding.bound(), console, prompt, seed, find_device(device)), model)


if __name__ == "__main__":
    run_command(app)
