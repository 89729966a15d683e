"""Compare validation loss and time with nanoGPT's, in its setting for a laptop.

    python benchmarks/shakespeare_cpu.py --text input.txt --nanogpt FOLDER

4 layers of width 128, 4 heads, context 64, batches of 12, tiny Shakespeare by characters. First the
speed of a step, both alternating in one process; then whole trainings, each in its own process,
nanoGPT's by its own train.py with the flags of its README. Both losses are means over the whole
validation split.
"""

import argparse
import contextlib
import io
import json
import math
import os
import runpy
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import circumstances, console, interleaved, median_ratio, show, write
from peer_models import Shape, nanogpt, nanogpt_optimizer

from gpt2_small import binding
from gpt2_small.data.batches import evaluation_batches
from gpt2_small.training.distributed import Processes
from gpt2_small.training.loop import Training
from gpt2_small.training.recipes.settings import changed
from gpt2_small.training.recipes.training_presets import training_preset
from gpt2_small.training.training_data import TextData, open_data

CPU = torch.device("cpu")
STEPS_A_ROUND = 50
COMPILED = "ours, bfloat16, compiled"
IN_BFLOAT16_COMPILED = {"dtype": "bfloat16", "compile": True}
# The CPU command of nanoGPT's README, with its four evaluations.
NANOGPT_FLAGS = [
    "--device=cpu",
    "--compile=False",
    "--eval_iters=20",
    "--eval_interval=500",
    "--log_interval=500",
    "--block_size=64",
    "--batch_size=12",
    "--n_layer=4",
    "--n_head=4",
    "--n_embd=128",
    "--lr_decay_iters={steps}",
    "--max_iters={steps}",
    "--dropout=0.0",
]


def our_training(text: Path, steps: int, **changes: Any) -> Training:
    """Return the preset's training on a text before its first step, with this many steps."""
    preset = training_preset("shakespeare-cpu")
    settings = changed(preset, {"max_steps": steps, "evaluate_every": 10**9, **changes})
    data = open_data(str(text), None, settings.model["n_ctx"])
    torch.manual_seed(settings.recipe.seed)
    solution = binding.bound()
    config = solution.TransformerConfig(d_vocab=data.tokenizer.vocab_size, **settings.model)
    model = solution.Transformer(config)
    with torch.no_grad():
        model.embed.W_E.mul_(settings.recipe.embedding_scale)
    return Training(solution, model, data, settings.recipe, Processes(0, 1, CPU))


def our_steps(text: Path, **changes: Any) -> Callable[[], None]:
    """Return a function that trains some steps per call."""
    training = our_training(text, 10**6, **changes)

    def go_on() -> None:
        for _ in range(STEPS_A_ROUND):
            training.advance()

    return go_on


def nanogpt_steps(folder: Path, data: TextData, *, compiled: bool = False) -> Callable[[], None]:
    """Do the same with nanoGPT's model, optimiser, batches and clipping, as in its train.py.

    compiled: without the `--compile=False` that its README recommends for a CPU.
    """
    shape = Shape(n_layers=4, n_heads=4, d_model=128, n_ctx=64, d_vocab=data.tokenizer.vocab_size)
    model = nanogpt(shape, folder)
    optimizer = nanogpt_optimizer(model, "cpu")
    forward = torch.compile(model) if compiled else model
    tokens = np.asarray(data.corpus.train[:], dtype=np.uint16)

    def batch() -> tuple[torch.Tensor, torch.Tensor]:
        places = torch.randint(len(tokens) - 64, (12,))
        inputs = [torch.from_numpy(tokens[at : at + 64].astype(np.int64)) for at in places]
        targets = [torch.from_numpy(tokens[at + 1 : at + 65].astype(np.int64)) for at in places]
        return torch.stack(inputs), torch.stack(targets)

    def go_on() -> None:
        for _ in range(STEPS_A_ROUND):
            _, loss = forward(*batch())
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            loss.item()

    return go_on


def train_ours(text: Path, steps: int, **changes: Any) -> dict[str, float]:
    """Train a whole run; return its seconds, compilation included, and its loss."""
    training = our_training(text, steps, **changes)
    started = time.perf_counter()
    while not training.is_done:
        training.advance()
    loss = training.evaluate()
    assert loss is not None
    return {"steps": steps, "seconds": time.perf_counter() - started, "validation loss": loss}


def train_nanogpt(folder: Path, text: Path, steps: int) -> dict[str, float]:
    """Run nanoGPT's own script; return its seconds and its loss."""
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "nanoGPT"
        shutil.copytree(folder, copy, ignore=shutil.ignore_patterns(".git", "out*"))
        here = copy / "data" / "shakespeare_char"
        shutil.copy(text, here / "input.txt")
        subprocess.run([sys.executable, here / "prepare.py"], check=True, capture_output=True)
        sys.argv = ["train.py", "config/train_shakespeare_char.py"]
        sys.argv += [flag.format(steps=steps) for flag in NANOGPT_FLAGS]
        sys.path.insert(0, str(copy))
        os.chdir(copy)
        started = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()):
            script = runpy.run_path("train.py")
        seconds = time.perf_counter() - started
        tokens = np.fromfile(here / "val.bin", dtype=np.uint16)
        loss = nanogpt_loss(script["raw_model"], tokens)
    return {"steps": steps, "seconds": seconds, "validation loss": loss}


@torch.no_grad()
def nanogpt_loss(model: Any, tokens: np.ndarray) -> float:
    """Return its mean loss over a whole split, in the same windows as ours."""
    model.eval()
    total, targets = 0.0, 0
    for windows in evaluation_batches(tokens, n_ctx=64, batch_size=64):
        count = windows[:, 1:].numel()
        _, loss = model(windows[:, :-1], windows[:, 1:].contiguous())
        total, targets = total + loss.item() * count, targets + count
    return total / targets


def in_a_process(*arguments: object) -> dict[str, float]:
    """Run this script with these arguments in a new process, which compiles again."""
    command = [sys.executable, __file__, *map(str, arguments)]
    with tempfile.TemporaryDirectory() as scratch:
        environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": scratch}
        done = subprocess.run(
            command, check=True, stdout=subprocess.PIPE, text=True, env=environment
        )
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def speeds(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return milliseconds per step, and our speed ratio."""
    data = open_data(str(arguments.text), None, 64)
    assert isinstance(data, TextData)
    functions = {"ours": our_steps(arguments.text)}
    functions[COMPILED] = our_steps(arguments.text, **IN_BFLOAT16_COMPILED)
    if arguments.nanogpt:
        functions["nanoGPT"] = nanogpt_steps(arguments.nanogpt, data)
        functions["nanoGPT, compiled"] = nanogpt_steps(arguments.nanogpt, data, compiled=True)
    seconds = interleaved(functions, arguments.rounds, "cpu")
    table = [
        {
            "step": name,
            "ms, median": round(1e3 * statistics.median(taken) / STEPS_A_ROUND, 2),
            "steps/s, ours to theirs": round(median_ratio(taken, seconds["ours"]), 2),
            "compiled": round(median_ratio(taken, seconds[COMPILED]), 2),
        }
        for name, taken in seconds.items()
    ]
    show("A step", table)
    return {"table": table, "seconds": seconds}


def qualities(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Return loss and time of whole trainings."""
    rows: list[dict[str, Any]] = []
    common = ["--text", arguments.text]
    if arguments.nanogpt:
        common += ["--nanogpt", arguments.nanogpt]
        rows.append({"by": "nanoGPT", **in_a_process("--train-nanogpt", 2000, *common)})
    rows += [
        {"by": name, **in_a_process("--train-ours", steps, *flags, *common)}
        for name, flags in (("ours", ()), (COMPILED, ("--compiled",)))
        for steps in arguments.steps
    ]
    base = rows[0]["seconds"] if arguments.nanogpt else math.nan
    table = [
        {
            "by": row["by"],
            "steps": row["steps"],
            "validation loss": f"{row['validation loss']:.3f}",
            "seconds": f"{row['seconds']:.1f}",
            "of nanoGPT's time": f"{row['seconds'] / base:.2f}",
        }
        for row in rows
    ]
    show("Whole trainings", table)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--text", type=Path, required=True)
    parser.add_argument("--nanogpt", type=Path, help="the folder of a checkout")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, nargs="*", default=[1250, 1750, 2000])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--train-ours", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--compiled", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--train-nanogpt", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    arguments.text = arguments.text.resolve()
    if arguments.nanogpt:
        arguments.nanogpt = arguments.nanogpt.resolve()
    if arguments.train_ours:
        changes = IN_BFLOAT16_COMPILED if arguments.compiled else {}
        print(json.dumps(train_ours(arguments.text, arguments.train_ours, **changes)))
    elif arguments.train_nanogpt:
        print(json.dumps(train_nanogpt(arguments.nanogpt, arguments.text, arguments.train_nanogpt)))
    else:
        about = circumstances("cpu")
        console.print(about)
        write(
            arguments.json,
            {
                "circumstances": about,
                "step": speeds(arguments),
                "whole trainings": qualities(arguments),
            },
        )


if __name__ == "__main__":
    main()
