"""Check and measure the kit on one GPU: parity, decoding, resume, speed and memory.

    benchmarks/on_gpu.sh --nanogpt nanoGPT --text input.txt
    benchmarks/on_gpu.sh --tiny --device cpu

Sections run one after the other while there is time, and the results are written after each, so
that a run that is cut short has what was measured. `--tiny` makes everything small: it tries the
script where there is no GPU.
"""

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from decode import decode_ours, decode_transformers
from measuring import circumstances, console, data_sheet, interleaved, show, write
from peers import SHAPES, config_of, hugging_face, reference
from safetensors.torch import load_file
from torch import Tensor
from train_step import Runner

import gpt2_small
from gpt2_small import binding
from gpt2_small.errors import UserError
from gpt2_small.model.cached_decoder import CachedDecoder
from gpt2_small.model.packed_weights import PackedTransformer
from gpt2_small.model.twin import FastTransformer
from gpt2_small.planning.flops import training_flops
from gpt2_small.planning.memory import Setting, memory_of
from gpt2_small.runs import read_log
from gpt2_small.training.distributed import Processes
from gpt2_small.training.presets import training_preset
from gpt2_small.training.recorder import train_run
from gpt2_small.training.session import open_run

# Error of the twin, as a multiple of that of solution.py in the same type, both against float64;
# and where both are this small, they are equal.
PARITY_FACTOR, PARITY_FLOOR = 3.0, 1e-6
# Of the logits' largest value, between a graph and the plain step: one is replayed from the other's
# kernels, of which those for other sizes of the cache add in another order.
GRAPH_TOLERANCE = {"float32": 1e-5, "bfloat16": 2e-2}
# Of the loss after a run that was killed and resumed: attention's backward pass on a GPU adds in an
# order that is not fixed.
RESUME_TOLERANCE = 0.02
# What the planner promises (docs/planning.md).
PLAN_TOLERANCE = 0.15
# nanoGPT's README, for config/train_shakespeare_char.py on one GPU.
SHAKESPEARE = 1.4697


@dataclass(frozen=True)
class Sizes:
    """How large everything is.

    batches: windows of n_ctx in a training step, tried in turn until one fits.
    """

    shape: str
    batches: tuple[int, ...]
    rounds: int
    new_tokens: int
    prompt: int
    rows: tuple[int, ...]
    resume_steps: int


FULL = Sizes("gpt2-padded", (64, 32, 16, 8), 8, 128, 64, (1, 64), 60)
TINY = Sizes("tiny", (4,), 2, 4, 3, (1, 2), 12)


@dataclass(frozen=True)
class Bench:
    """What the sections share."""

    arguments: argparse.Namespace
    sizes: Sizes
    scratch: Path

    @property
    def device(self) -> str:
        return str(self.arguments.device)

    @property
    def is_tiny(self) -> bool:
        return bool(self.arguments.tiny)


def parity(bench: Bench) -> dict[str, Any]:
    """Loss and gradients of solution.py and its twin, compiled and not, against float64."""
    model = reference(SHAPES["tiny"]).to(bench.device)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    config = model.config
    batch = torch.randint(config.d_vocab, (4, config.n_ctx + 1), device=bench.device)
    truth = gradients(model.double(), partial(plain_loss, model), batch, None)
    model.float()
    twin = FastTransformer(model)
    ways: dict[str, Callable[[Tensor], Tensor]] = {
        "solution.py": partial(plain_loss, model),
        "twin": twin,
        "twin, compiled": torch.compile(twin, backend="aot_eager" if bench.is_tiny else "inductor"),
    }
    rows, holds = [], True
    for name in ("float32", "bfloat16"):
        errors = {
            way: distance(gradients(model, loss, batch, getattr(torch, name)), truth)
            for way, loss in ways.items()
        }
        allowed = max(PARITY_FLOOR, PARITY_FACTOR * errors["solution.py"])
        holds &= all(error <= allowed for error in errors.values())
        rows.append({"type": name, **{way: f"{error:.1e}" for way, error in errors.items()}})
    show("Relative error of loss and gradients against float64", rows)
    return {"holds": holds, "table": rows}


def plain_loss(model: Any, batch: Tensor) -> Tensor:
    loss: Tensor = gpt2_small.next_token_loss(model(batch[:, :-1]), batch)
    return loss


def gradients(
    model: Any, loss: Callable[[Tensor], Tensor], batch: Tensor, dtype: torch.dtype | None
) -> list[Tensor]:
    """The loss and every gradient, in float64."""
    model.zero_grad(set_to_none=True)
    is_low = dtype not in (None, torch.float32)
    with torch.autocast(batch.device.type, dtype or torch.float32, enabled=is_low):
        value = loss(batch)
    value.backward()
    return [value.detach().double(), *(p.grad.double() for p in model.parameters())]


def distance(found: list[Tensor], truth: list[Tensor]) -> float:
    """The largest L2 distance of any tensor, relative to its norm.

    A tensor whose norm is below a hundredth of the largest counts with that: the gradient of b_K is
    0 but for rounding.
    """
    least = 0.01 * max(tensor.norm() for tensor in truth)
    return max(
        float((a - b).norm() / torch.maximum(b.norm(), least))
        for a, b in zip(found, truth, strict=True)
    )


def decoding(bench: Bench) -> dict[str, Any]:
    """A decoder's steps (graphs on CUDA) against solution.py, reading each row anew."""
    sizes, holds = bench.sizes, True
    rows: list[dict[str, Any]] = []
    model = reference(SHAPES["tiny"]).to(bench.device).eval()
    prompt = min(sizes.prompt, model.config.n_ctx // 4)
    prompts = torch.randint(model.config.d_vocab, (2, prompt), device=bench.device)
    steps = min(sizes.new_tokens, model.config.n_ctx - prompt)
    for name, tolerance in GRAPH_TOLERANCE.items():
        decoder = CachedDecoder(PackedTransformer(model, dtype=getattr(torch, name)))
        logits, tokens, differences = decoder.prefill(prompts), prompts, []
        for _ in range(steps):
            with torch.no_grad():
                expected = model(tokens)[:, -1]
            differences.append((logits - expected).abs().max() / expected.abs().max())
            new = expected.argmax(dim=-1)
            tokens = torch.cat([tokens, new[:, None]], dim=1)
            logits = decoder.step(new)
        apart = torch.stack(differences).max().item()
        holds &= apart <= tolerance
        row = {"type": name, "steps": steps, "apart": f"{apart:.1e}", "allowed": f"{tolerance:.0e}"}
        rows.append(row)
    show("Decoder's logits against solution.py, of the largest", rows)
    return {"holds": holds, "table": rows}


def resume(bench: Bench) -> dict[str, Any]:
    """A run that is killed and resumed, beside one that is not."""
    whole, parts = bench.scratch / "whole", bench.scratch / "parts"
    train_in_a_process(bench, whole)
    killed_at = train_in_a_process(bench, parts, kill=True)
    train_in_a_process(bench, parts)
    steps = bench.sizes.resume_steps
    weights = [
        load_file(run / f"checkpoints/step-{steps}/model.safetensors") for run in (whole, parts)
    ]
    apart = max((weights[0][name] - weights[1][name]).abs().max().item() for name in weights[0])
    logs = [read_log(run) for run in (whole, parts)]
    losses = [log[-1]["val_loss"] for log in logs]
    has_all = all([record["step"] for record in log] == list(range(1, steps + 1)) for log in logs)
    row = {
        "killed at step": killed_at,
        "same bits": apart == 0.0,
        "weights apart": f"{apart:.1e}",
        "loss": f"{losses[0]:.4f}",
        "resumed": f"{losses[1]:.4f}",
    }
    show("A run that is killed and resumed", [row])
    holds = has_all and abs(losses[0] - losses[1]) <= RESUME_TOLERANCE
    return {"holds": holds and 0 < killed_at < steps, "table": [row]}


def train_in_a_process(bench: Bench, run: Path, *, kill: bool = False) -> int:
    """Train a small run in a process, which is killed in the middle where asked; its last step."""
    command = [sys.executable, __file__, "--train", str(run), "--device", bench.device]
    command += ["--steps", str(bench.sizes.resume_steps)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    step = 0
    for line in process.stdout:
        step = int(line)
        if kill and step > bench.sizes.resume_steps // 2:
            process.send_signal(signal.SIGKILL)
            break
    process.communicate()
    if not kill and process.returncode:
        raise UserError(f"a training process ended with exit code {process.returncode}")
    return step


def train_small(arguments: argparse.Namespace) -> None:
    """The process that trains: prints each step once it is logged."""
    changes = {
        "data": str(binding.reference_path()),
        "max_steps": arguments.steps,
        "evaluate_every": arguments.steps,
        "checkpoint_every": 5,
        "warmup_steps": 5,
        "dtype": "bfloat16" if arguments.device == "cuda" else "float32",
        "compile": False,
        **dict(d_model=64, n_layers=2, n_heads=4, n_ctx=32, dropout=0.1),
    }
    processes = Processes(0, 1, torch.device(arguments.device))
    preset = training_preset("characters")
    with open_run(binding.bound(), arguments.train, preset, changes, processes, resume=True) as run:
        for record in train_run(run):
            print(record.step, flush=True)


def training(bench: Bench) -> dict[str, Any]:
    """Tokens a second of a whole step, ours beside nanoGPT's and transformers'; planned memory."""
    shape, device = SHAPES[bench.sizes.shape], bench.device
    options = argparse.Namespace(
        preset=bench.sizes.shape,
        device=device,
        nanogpt=bench.arguments.nanogpt,
        no_compile=False,
        positions_per_chunk=None,
    )
    known = data_sheet(device)
    rows: list[dict[str, Any]] = []
    peak = known.peaks.get("bfloat16") if known else None
    flops = training_flops(config_of(shape), seq=shape.n_ctx)
    found: dict[str, Any] = {"holds": True}
    for name in ("twin", "nanoGPT", "transformers"):
        try:
            runner = Runner(name, options)
        except LookupError:
            console.print(f"{name}: left out, it is not at hand")
            continue
        windows, seconds, used = largest_step(bench, runner)
        rate = windows * shape.n_ctx / seconds
        row: dict[str, Any] = {
            "model": name,
            "windows": windows,
            "tokens/s": round(rate),
            "of peak": f"{rate * flops / peak:.1%}" if peak else None,
            "peak GB": None if used is None else round(used / 1e9, 2),
            "planned GB": None,
        }
        if name == "twin" and used is not None:
            setting = Setting(dtype="bfloat16", on_cpu=False, is_distributed=False)
            planned = memory_of(runner.model.config, setting, windows).total
            found |= {"planned bytes": planned, "peak bytes": used}
            found["holds"] = abs(planned / used - 1) <= PLAN_TOLERANCE
            row["planned GB"] = round(planned / 1e9, 2)
        rows.append(row)
        del runner
        release(device)
    show(f"Training, windows of {shape.n_ctx}, bfloat16", rows)
    return {**found, "table": rows}


def largest_step(bench: Bench, runner: Runner) -> tuple[int, float, int | None]:
    """Windows that fit, the median seconds of a step with them, and the allocator's peak."""
    shape, device = SHAPES[bench.sizes.shape], bench.device
    for windows in bench.sizes.batches:
        batch = torch.randint(shape.d_vocab, (windows, shape.n_ctx + 1), device=device)
        step = partial(runner.step, batch, torch.bfloat16)
        try:
            step()  # compiles
            if device == "cuda":
                torch.cuda.reset_peak_memory_stats()
            seconds = interleaved({"step": step}, bench.sizes.rounds, device)["step"]
        except torch.OutOfMemoryError:
            runner.model.zero_grad(set_to_none=True)
            release(device)
            continue
        used = torch.cuda.max_memory_allocated() if device == "cuda" else None
        return windows, statistics.median(seconds), used
    raise UserError(f"{runner.name} does not fit with {bench.sizes.batches[-1]} windows")


def release(device: str) -> None:
    torch._dynamo.reset()
    if device == "cuda":
        torch.cuda.empty_cache()


def generation(bench: Bench) -> dict[str, Any]:
    """New tokens a second in bfloat16 at several batch sizes, ours beside transformers'."""
    sizes, shape, device = bench.sizes, SHAPES[bench.sizes.shape], bench.device
    ours = reference(shape).to(device).eval()
    weights = PackedTransformer(ours, dtype=torch.bfloat16)
    theirs: Any = hugging_face(shape)
    if theirs is None:
        console.print("transformers: left out, it is not at hand")
    else:
        theirs = theirs.to(device, torch.bfloat16).eval()
    rows = []
    for count in sizes.rows:
        prompts = torch.randint(shape.d_vocab, (count, sizes.prompt), device=device)
        ways = {"ours": partial(decode_ours, CachedDecoder(weights))}
        if theirs is not None:
            ways["transformers"] = partial(decode_transformers, theirs)
        calls = {name: partial(way, prompts, sizes.new_tokens) for name, way in ways.items()}
        seconds = interleaved(calls, max(1, sizes.rounds // 4), device)
        rates = {
            name: round(count * sizes.new_tokens / statistics.median(taken))
            for name, taken in seconds.items()
        }
        rows.append({"rows": count, **rates})
    show(f"New tokens a second, {sizes.prompt} read and {sizes.new_tokens} made, bfloat16", rows)
    return {"holds": True, "table": rows}


def shakespeare(bench: Bench) -> dict[str, Any]:
    """The best held-out loss of the preset `shakespeare`, beside nanoGPT's."""
    text = bench.arguments.text
    if text is None:
        console.print("Shakespeare: left out, give --text")
        return {"holds": True, "left out": "no --text"}
    changes: dict[str, Any] = {"data": str(text)}
    if bench.is_tiny:
        changes |= dict(max_steps=4, batch_size=2, n_ctx=8, d_model=24, n_layers=1, compile=False)
        changes |= dict(evaluate_every=4, evaluation_tokens=64)
    processes = Processes(0, 1, torch.device(bench.device))
    started, best = time.perf_counter(), float("inf")
    with open_run(
        binding.bound(),
        bench.scratch / "shakespeare",
        training_preset("shakespeare"),
        changes,
        processes,
    ) as run:
        for record in train_run(run):
            best = min(best, best if record.val_loss is None else record.val_loss)
    row = {
        "steps": run.training.step,
        "seconds": round(time.perf_counter() - started),
        "best held-out loss": round(best, 4),
        "nanoGPT's": SHAKESPEARE,
    }
    show("The preset shakespeare", [row])
    return {"holds": bench.is_tiny or best <= SHAKESPEARE + 0.01, "table": [row]}


# Name, what it does, and the seconds that it is expected to take on one H100.
SECTIONS: tuple[tuple[str, Callable[[Bench], dict[str, Any]], int], ...] = (
    ("parity", parity, 40),
    ("decoding", decoding, 20),
    ("resume", resume, 60),
    ("training", training, 150),
    ("generation", generation, 40),
    ("shakespeare", shakespeare, 150),
)


def run_sections(bench: Bench, results: dict[str, Any], minutes: float) -> bool:
    """Run what there is time for; whether everything that was checked holds."""
    begun, holds = time.monotonic(), True
    for name, section, seconds in SECTIONS:
        if name not in bench.arguments.sections:
            continue
        section_begun = time.monotonic()
        left = 60 * minutes - (section_begun - begun)
        if not bench.is_tiny and seconds > left:
            results[name] = {"left out": f"{left:.0f} of {seconds} seconds left"}
            console.print(f"{name}: left out, {left:.0f} seconds are left")
            continue
        try:
            results[name] = section(bench)
        except Exception as error:
            traceback.print_exc()
            results[name] = {"holds": False, "error": f"{type(error).__name__}: {error}"}
        results[name]["seconds"] = round(time.monotonic() - section_begun, 1)
        holds &= results[name].get("holds", True)
        console.print(f"{name}: {'holds' if results[name]['holds'] else 'DOES NOT HOLD'}")
        write(bench.arguments.json, results)
        release(bench.device)
    return holds


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder for runs and prepared texts, of which nothing stays."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        yield Path(folder)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--nanogpt", type=Path, help="folder of a nanoGPT checkout")
    parser.add_argument("--text", type=Path, help="tiny Shakespeare")
    parser.add_argument("--json", type=Path, default=Path("on_gpu.json"))
    parser.add_argument("--minutes", type=float, default=8.0)
    names = [name for name, _, _ in SECTIONS]
    parser.add_argument("--sections", nargs="+", choices=names, default=names)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--tiny", action="store_true", help="everything small")
    parser.add_argument("--train", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--steps", type=int, default=FULL.resume_steps, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    arguments = parse()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        print("error: there is no GPU here; give --tiny --device cpu", file=sys.stderr)
        sys.exit(2)
    if arguments.train is not None:
        train_small(arguments)
        return
    torch.manual_seed(0)
    results: dict[str, Any] = {"circumstances": circumstances(arguments.device)}
    console.print_json(data=results["circumstances"])
    with scratch_folder() as scratch:
        bench = Bench(arguments, TINY if arguments.tiny else FULL, scratch)
        holds = run_sections(bench, results, arguments.minutes)
    write(arguments.json, results)
    sys.exit(0 if holds else 1)


if __name__ == "__main__":
    main()
