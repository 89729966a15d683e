"""Measure training, generation and a whole run on one GPU, beside nanoGPT and transformers."""

import argparse
import statistics
import time
from functools import partial
from typing import Any

import torch
from benchmark_sizes import Bench, release
from decode import decode_ours, decode_transformers
from measuring import console, data_sheet, interleaved, show
from peer_models import SHAPES, config_of, hugging_face, reference
from step_runner import StepRunner

from gpt2_small import binding
from gpt2_small.errors import UserError
from gpt2_small.model.cached_decoder import CachedDecoder
from gpt2_small.model.packed_weights import PackedTransformer
from gpt2_small.planning.flops import training_flops
from gpt2_small.planning.memory import MemorySetting, memory_of
from gpt2_small.training.distributed import Processes
from gpt2_small.training.recipes.training_presets import training_preset
from gpt2_small.training.run_loop import train_run
from gpt2_small.training.session import open_run

# The planner's stated accuracy (docs/planning.md).
PLAN_TOLERANCE = 0.15
# nanoGPT's README, for config/train_shakespeare_char.py on one GPU.
SHAKESPEARE = 1.4697


def training(bench: Bench) -> dict[str, Any]:
    """Measure tokens per second of a whole step, beside nanoGPT's and transformers', and memory."""
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
            runner = StepRunner(name, options)
        except LookupError:
            console.print(f"{name}: skipped, not found")
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
            setting = MemorySetting(dtype="bfloat16", on_cpu=False, is_distributed=False)
            planned = memory_of(runner.model.config, setting, windows).total
            found |= {"planned bytes": planned, "peak bytes": used}
            found["holds"] = abs(planned / used - 1) <= PLAN_TOLERANCE
            row["planned GB"] = round(planned / 1e9, 2)
        rows.append(row)
        del runner
        release(device)
    show(f"Training, windows of {shape.n_ctx}, bfloat16", rows)
    return {**found, "table": rows}


def largest_step(bench: Bench, runner: StepRunner) -> tuple[int, float, int | None]:
    """Return the windows that fit, the median seconds of their step, and the allocator's peak."""
    shape, device = SHAPES[bench.sizes.shape], bench.device
    for windows in bench.sizes.batches:
        batch = torch.randint(shape.d_vocab, (windows, shape.n_ctx + 1), device=device)
        step = partial(runner.step, batch, torch.bfloat16)
        try:
            step()  # compilation
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


def generation(bench: Bench) -> dict[str, Any]:
    """Measure new tokens per second in bfloat16 at several batch sizes, beside transformers'."""
    sizes, shape, device = bench.sizes, SHAPES[bench.sizes.shape], bench.device
    ours = reference(shape).to(device).eval()
    weights = PackedTransformer(ours, dtype=torch.bfloat16)
    theirs: Any = hugging_face(shape)
    if theirs is None:
        console.print("transformers: skipped, not found")
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
    """Measure the best held-out loss of the preset `shakespeare`, beside nanoGPT's."""
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
