"""Measure time and memory of a training step, ours against nanoGPT's and others'.

    python benchmarks/train_step.py --nanogpt FOLDER
    python benchmarks/train_step.py --device cuda --preset gpt2-padded --batch 64 --seq 1024 \\
        --dtype bfloat16 --models twin nanoGPT --memory-batch 64 --memory-seq 1024

Forward and backward alone, then with clipping and the optimiser; all models alternate in every
round. On a CPU the process keeps freed memory, as a training run does, so that no model waits for
new pages; --no-keep-freed-memory leaves that to the C library. Memory is the peak of a fresh
process for each model, with batches of 4 x 512 by default; with recomputation freed memory is
returned at once, as in a run with recompute=true.
"""

import argparse
import gc
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from measuring import (
    ceilings,
    circumstances,
    console,
    data_sheet,
    interleaved,
    median_ratio,
    peak_resident_bytes,
    show,
    timed,
    write,
)
from peer_models import SHAPES, config_of
from step_runner import RECOMPUTING, SETTINGS, StepRunner

from gpt2_small.planning.flops import training_flops
from gpt2_small.training.allocator import keep_freed_memory, return_freed_memory


def measure_times(
    runners: list[StepRunner], arguments: argparse.Namespace, dtype: torch.dtype
) -> dict[str, dict[str, list[float]]]:
    shape = SHAPES[arguments.preset]
    batch = torch.randint(
        shape.d_vocab, (arguments.batch, arguments.seq + 1), device=arguments.device
    )
    kinds = {
        "forward and backward": StepRunner.forward_backward,
        "with the optimiser": StepRunner.step,
    }
    times = {}
    for kind, run in kinds.items():
        calls = {r.name: lambda r=r, run=run: run(r, batch, dtype) for r in runners}
        times[kind] = interleaved(calls, arguments.rounds, arguments.device)
    return times


def time_rows(
    times: dict[str, list[float]], arguments: argparse.Namespace, peak: float
) -> list[dict[str, Any]]:
    tokens = arguments.batch * arguments.seq
    flop = tokens * training_flops(config_of(SHAPES[arguments.preset]), seq=arguments.seq)
    return [
        {
            "model": name,
            "ms": round(1000 * statistics.median(seconds), 1),
            "tokens/s": round(tokens / statistics.median(seconds)),
            "share of peak": f"{flop / statistics.median(seconds) / peak:.1%}",
            "twin is faster by": f"{median_ratio(seconds, times['twin']):.2f}x",
        }
        for name, seconds in times.items()
    ]


def measure_memory_here(arguments: argparse.Namespace) -> None:
    """Train two whole steps of one model in this process; print peak bytes and seconds."""
    if arguments.measure_memory == RECOMPUTING:
        return_freed_memory()
    elif arguments.keep_freed_memory:
        keep_freed_memory()
    runner = StepRunner(arguments.measure_memory, arguments)
    shape, dtype = SHAPES[arguments.preset], getattr(torch, arguments.dtype[0])
    size = (arguments.memory_batch, arguments.memory_seq + 1)
    batch = torch.randint(shape.d_vocab, size, device=arguments.device)
    runner.step(batch, dtype)
    seconds = timed(lambda: runner.step(batch, dtype), arguments.device)
    on_cuda = arguments.device == "cuda"
    peak = torch.cuda.max_memory_allocated() if on_cuda else peak_resident_bytes()
    print(json.dumps({"bytes": peak, "seconds": seconds}))


def measure_memory(arguments: argparse.Namespace, names: list[str], dtype: str) -> dict[str, Any]:
    measured = {}
    for name in names:
        command = [sys.executable, __file__, "--measure-memory", name, "--dtype", dtype]
        for option in ("device", "preset", "memory_batch", "memory_seq"):
            command += [f"--{option.replace('_', '-')}", str(getattr(arguments, option))]
        if arguments.nanogpt:
            command += ["--nanogpt", str(arguments.nanogpt)]
        if arguments.positions_per_chunk:
            command += ["--positions-per-chunk", str(arguments.positions_per_chunk)]
        if arguments.no_compile:
            command += ["--no-compile"]
        if not arguments.keep_freed_memory:
            command += ["--no-keep-freed-memory"]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        measured[name] = json.loads(done.stdout.splitlines()[-1])
    return measured


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--preset", choices=SHAPES, default="gpt2")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--seq", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=9, help="measured calls of every model")
    parser.add_argument("--dtype", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--models", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--nanogpt", type=Path, help="folder of a nanoGPT checkout")
    parser.add_argument("--positions-per-chunk", type=int)
    parser.add_argument("--memory-batch", type=int, default=4)
    parser.add_argument("--memory-seq", type=int, default=512)
    parser.add_argument("--keep-freed-memory", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--no-memory", action="store_true")
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--ceiling-size", type=int, help="side of the ceiling's matrices")
    parser.add_argument("--json", type=Path, help="write the results to this file")
    parser.add_argument("--measure-memory", help=argparse.SUPPRESS)
    return parser.parse_args()


def runners_at_hand(arguments: argparse.Namespace) -> list[StepRunner]:
    runners = []
    for name in dict.fromkeys(["twin", *arguments.models]):
        try:
            runners.append(StepRunner(name, arguments))
            console.print(f"{name}: {SETTINGS[name]}")
        except LookupError:
            console.print(f"{name}: skipped, not found")
    return runners


def main() -> None:
    arguments = parse()
    torch.set_float32_matmul_precision("high" if arguments.device == "cuda" else "highest")
    if arguments.measure_memory:
        measure_memory_here(arguments)
        return
    if arguments.keep_freed_memory:
        keep_freed_memory()
    results: dict[str, Any] = {"circumstances": circumstances(arguments.device)}
    results["arguments"] = {key: str(value) for key, value in vars(arguments).items()}
    console.print_json(data=results["circumstances"])
    results["ceilings"] = ceilings(arguments.device, arguments.rounds, arguments.ceiling_size)
    runners = runners_at_hand(arguments)
    for dtype in arguments.dtype:
        results |= show_times(runners, arguments, dtype, results["ceilings"])
    names = [runner.name for runner in runners]
    runners.clear()
    gc.collect()
    torch.cuda.empty_cache()
    if not arguments.no_memory:
        for dtype in arguments.dtype:
            results[f"memory, {dtype}"] = show_memory(names, arguments, dtype)
    write(arguments.json, results)


def show_times(
    runners: list[StepRunner], arguments: argparse.Namespace, dtype: str, peaks: dict[str, float]
) -> dict[str, Any]:
    """Measure and print the times in a dtype; a data sheet's peak is added to the others."""
    known, peak = data_sheet(arguments.device), peaks[f"{dtype} FLOP/s"]
    if known and dtype in known.peaks:
        peak = peaks[f"data sheet, {dtype} FLOP/s"] = known.peaks[dtype]
    results = {}
    for kind, seconds in measure_times(runners, arguments, getattr(torch, dtype)).items():
        size = f"{arguments.preset}, batch {arguments.batch} x {arguments.seq}, {dtype}"
        rows = time_rows(seconds, arguments, peak)
        show(f"Training step, {kind}: {size}; peak {peak / 1e12:.2f} TFLOP/s", rows)
        results[f"{kind}, {dtype}"] = {"seconds": seconds, "table": rows}
    return results


def show_memory(
    names: list[str], arguments: argparse.Namespace, dtype: str
) -> dict[str, dict[str, float]]:
    """Measure and print the peak memory of every model in a dtype."""
    memory = measure_memory(arguments, names, dtype)
    rows = [
        {
            "model": name,
            "peak MB": round(found["bytes"] / 1e6),
            "of nanoGPT's": f"{found['bytes'] / memory['nanoGPT']['bytes']:.2f}"
            if "nanoGPT" in memory
            else None,
            "ms": round(1000 * found["seconds"]),
        }
        for name, found in memory.items()
    ]
    size = f"batch {arguments.memory_batch} x {arguments.memory_seq}, {dtype}"
    show(f"Peak memory of a process that trains two steps: {size}", rows)
    return memory


if __name__ == "__main__":
    main()
