"""Measure what each mistake in the model's parts costs a training run on the stories.

    python benchmarks/mistake_costs.py --processes 2
    python benchmarks/mistake_costs.py --only block-post-norm --out costs.json

Every mistake of the catalogue is edited into the reference, which then trains as `train --preset
stories --max-steps 300` does, in float32 on one thread; its held-out loss is compared with the
stories' exact entropy. A mistake that changes no bit of a run is tried in the next variation: with
an untied unembedding, then with dropout. The correct model is trained with several seeds, to
distinguish a difference from chance.

The results are stored after each run, and a stored run is not repeated. `python
tools/mistake_matrix.py` writes them into docs/mistakes.md.
"""

import argparse
import contextlib
import io
import json
import math
import multiprocessing
import os
import time
import warnings
from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from measuring import circumstances, console
from torch import Tensor, nn

from gpt2_small import binding, stories
from gpt2_small.checker.mistakes.costs import (
    COSTS,
    FORMAT,
    VARIATIONS,
    Cost,
    edit_hash,
    model_mistakes,
)
from gpt2_small.checker.mistakes.edited_reference import Edit, edited_text
from gpt2_small.files.atomic import write_atomically
from gpt2_small.files.json_files import read_json
from gpt2_small.training.allocator import keep_freed_memory
from gpt2_small.training.recipes.training_presets import training_preset
from gpt2_small.training.training_data import StoriesData

PRESET = training_preset("stories")
STEPS = 300
SEEDS = 5
# Steps after which a mistake without an effect is recognised.
FIRST_STEPS = 3


@dataclass(frozen=True)
class RunWindows:
    """Training and evaluation batches of every run [batch seq+1]."""

    training: list[Tensor]
    held_out: list[Tensor]


def drawn_windows(steps: int) -> RunWindows:
    """Return the windows of the preset's first steps, and the held-out ones in equal batches."""
    data = StoriesData(PRESET.model["n_ctx"])
    share = dict(batch_size=PRESET.recipe.batch_size, rank=0, world_size=1)
    return RunWindows(
        [data.batch(seed=PRESET.recipe.seed, step=step, **share) for step in range(steps)],
        list(data.held_out(**share)),
    )


class Trial:
    """A training of a solution's Transformer in the preset's run, with changed config fields."""

    def __init__(
        self, solution: ModuleType, changes: Mapping[str, Any], windows: RunWindows, seed: int
    ) -> None:
        self.solution, self.windows = solution, windows
        torch.manual_seed(seed)
        vocabulary = {"d_vocab": len(stories.VOCABULARY)}
        config = solution.TransformerConfig(**{**PRESET.model, **vocabulary, **changes})
        self.model: nn.Module = solution.Transformer(config)
        with torch.no_grad():
            for table in self.model.embed.parameters():
                table.mul_(PRESET.recipe.embedding_scale)

    def train(self, stop_after: int | None = None) -> list[float]:
        """Train, and return the loss of each step."""
        recipe, steps = PRESET.recipe, len(self.windows.training)
        optimizer = torch.optim.AdamW(
            self.solution.parameter_groups(self.model, weight_decay=recipe.weight_decay),
            lr=recipe.learning_rate,
            betas=(recipe.beta1, recipe.beta2),
            fused=True,
        )
        records = self.solution.train(
            self.model,
            [[window] for window in self.windows.training[:stop_after]],
            optimizer,
            schedule=lambda step: self.solution.learning_rate(
                step,
                peak=recipe.learning_rate,
                warmup_steps=min(recipe.warmup_steps, steps),
                total_steps=steps,
                final_fraction=recipe.final_fraction,
            ),
        )
        return [record.loss for record in records]

    @torch.no_grad()
    def held_out_losses(self, batches: Iterable[Tensor] | None = None) -> list[float]:
        """Return the mean loss of each held-out batch."""
        self.model.eval()
        return [
            self.solution.next_token_loss(self.model(batch[:, :-1]), batch).item()
            for batch in (self.windows.held_out if batches is None else batches)
        ]

    def beginning(self) -> list[float]:
        """Return the losses of the first steps, and a held-out one after them."""
        losses = self.train(FIRST_STEPS)
        return losses + self.held_out_losses(self.windows.held_out[:1])

    def percents_above_floor(self) -> float:
        """Return the final held-out loss in percent above the entropy."""
        self.train()
        losses = self.held_out_losses()
        floor = stories.entropy_per_token(PRESET.model["n_ctx"])
        return 100 * (sum(losses) / len(losses) / floor - 1)


def solution_with(*edits: Edit) -> ModuleType:
    """Load the reference with these edits as a new module."""
    return binding.execute(edited_text(*edits).encode(), Path("edited.py"), "edited")


def measured(edit: Edit, windows: RunWindows, seed: int = 0) -> Cost:
    """Return a mistake's cost in the first variation in which it has an effect."""
    for variation, changes in VARIATIONS.items():
        try:
            solution = solution_with(edit)
            beginning = Trial(solution, changes, windows, seed).beginning()
            if beginning == right_beginning(variation, seed):
                continue
            percents = Trial(solution, changes, windows, seed).percents_above_floor()
        except Exception as error:
            return Cost(variation, error=type(error).__name__)
        if not math.isfinite(percents):
            return Cost(variation, error="FloatingPointError")
        return Cost(variation, above_floor=round(percents, 2))
    return Cost()


# The windows of a worker, drawn once by its parent.
_windows: list[RunWindows] = []


def prepare_process(windows: RunWindows) -> None:
    """Use one thread, as for every stored result, and discard the mistakes' output."""
    torch.set_num_threads(1)
    keep_freed_memory()
    _windows[:] = [windows]


@cache
def right_beginning(variation: str, seed: int) -> list[float]:
    """Return the correct model's first losses."""
    return Trial(solution_with(), VARIATIONS[variation], _windows[0], seed).beginning()


def right_trained(variation: str, seed: int) -> float:
    """Return the correct model's final loss in percent above the floor."""
    trial = Trial(solution_with(), VARIATIONS[variation], _windows[0], seed)
    return round(trial.percents_above_floor(), 2)


def mistake_measured(edit: Edit) -> Cost:
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        return measured(edit, _windows[0])


class Results:
    """The measurements, written to a file after each run."""

    def __init__(self, path: Path, steps: int) -> None:
        self.path = path
        self.content: dict[str, Any] = {
            "format": FORMAT,
            "steps": steps,
            "circumstances": {},
            "right": {name: [] for name in VARIATIONS},
            "mistakes": {},
        }
        if path.exists():
            stored = read_json(path, FORMAT)
            if stored["steps"] == steps:
                self.content = stored

    def right(self, variation: str, percents: list[float]) -> None:
        self.content["right"][variation] = percents
        self.store()

    def has(self, mistake: Any) -> bool:
        """Return whether the cost of a mistake with its current edits is stored."""
        stored = self.content["mistakes"].get(mistake.id, {})
        return bool(stored.get("edit") == edit_hash(mistake))

    def add(self, mistake: Any, cost: Cost) -> None:
        said = {name: value for name, value in asdict(cost).items() if value is not None}
        self.content["mistakes"][mistake.id] = {"edit": edit_hash(mistake), **said}
        self.store()

    def store(self) -> None:
        known = [m.id for m in model_mistakes() if m.id in self.content["mistakes"]]
        self.content["mistakes"] = {name: self.content["mistakes"][name] for name in known}
        write_atomically(self.path, json.dumps(self.content, indent=1) + "\n")


def main() -> None:
    """Measure the costs that are not stored yet."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--out", type=Path, default=COSTS, help="where the results are stored")
    parser.add_argument("--only", nargs="*", metavar="ID", help="measure only these mistakes")
    parser.add_argument("--steps", type=int, default=STEPS, help="steps of each run")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="seeds of the correct model")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="processes at a time")
    options = parser.parse_args()
    results = Results(options.out, options.steps)
    console.print(f"Drawing the windows of {options.steps} steps.")
    windows = drawn_windows(options.steps)
    with ProcessPoolExecutor(
        options.processes,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=prepare_process,
        initargs=(windows,),
    ) as pool:
        measure_all(pool, results, options)


def measure_all(pool: ProcessPoolExecutor, results: Results, options: argparse.Namespace) -> None:
    """Measure missing results, the correct model first."""
    results.content["circumstances"] = circumstances("cpu")
    right = {
        name: [pool.submit(right_trained, name, seed) for seed in range(options.seeds)]
        for name in VARIATIONS
        if len(results.content["right"][name]) < options.seeds
    }
    todo = [
        mistake
        for mistake in model_mistakes()
        if not results.has(mistake) and (not options.only or mistake.id in options.only)
    ]
    if options.only:
        todo.sort(key=lambda mistake: options.only.index(mistake.id))
    jobs = {pool.submit(mistake_measured, mistake): mistake for mistake in todo}
    for name, runs in right.items():
        results.right(name, [run.result() for run in runs])
        console.print(f"right, {name}: {results.content['right'][name]}")
    started = time.perf_counter()
    for done, job in enumerate(as_completed(jobs), start=1):
        mistake, cost = jobs[job], job.result()
        results.add(mistake, cost)
        seconds = time.perf_counter() - started
        console.print(f"{done}/{len(jobs)} {seconds:.0f} s {mistake.id}: {told(cost)}")
    console.print(f"Wrote {results.path}: {len(results.content['mistakes'])} mistakes.")


def told(cost: Cost) -> str:
    """Format a cost for the screen."""
    if cost.variation is None:
        return "as the right model"
    found = cost.error or f"{cost.above_floor:.1f} % above the floor"
    return f"{found} ({cost.variation})"


if __name__ == "__main__":
    main()
