"""Time functions in alternation, measure this machine's ceilings, print tables and write JSON."""

import json
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from gpt2_small.planning.device_peaks import Device, device_of

PACKAGES = ("torch", "transformers", "transformer-lens", "tiktoken")

console = Console()


def synchronise(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def timed(function: Callable[[], object], device: str) -> float:
    """Return the seconds of one call, the device's work included."""
    synchronise(device)
    start = time.perf_counter()
    function()
    synchronise(device)
    return time.perf_counter() - start


def interleaved(
    functions: Mapping[str, Callable[[], object]], rounds: int, device: str
) -> dict[str, list[float]]:
    """Return the seconds of every call, all functions once per round, after a warm-up round."""
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for measured_round in range(-1, rounds):
        for name, function in functions.items():
            taken = timed(function, device)
            if measured_round >= 0:
                seconds[name].append(taken)
    return seconds


def median_ratio(theirs: list[float], ours: list[float]) -> float:
    """Return our speed ratio: the median over rounds, which is robust to other load."""
    return statistics.median(a / b for a, b in zip(theirs, ours, strict=True))


def ceilings(device: str, rounds: int, size: int | None = None) -> dict[str, float]:
    """Return the highest measured rates of this machine: FLOP/s and bytes read per second.

    FLOP/s of matrix products in float32 and bfloat16: the best of several shapes and of torch's
    and oneDNN's routine. Bytes per second: the best of the sum of a large tensor, a product of one
    row with packed weights, and on a CPU a step in C of one block with a large vocabulary.

    size: side of the square product; the other shapes have about the same size.
    """
    from gpt2_small.model.packed_weights import PackedAffine

    size = size or (8192 if device == "cuda" else 2048)
    big = 16 * size**2
    with torch.no_grad():
        products = products_of(size, device)
        row, stream = torch.randn(1, size, device=device), torch.ones(big, device=device)
        wide = torch.randn(size, big // size, device=device)
        packed = PackedAffine(wide, None, with_one_row=True)
        readers: dict[str, tuple[int, Callable[[], object]]] = {
            "sum": (4 * big, stream.sum),
            "product": (4 * big, lambda: packed(row)),
        }
        if step := step_in_c(size, big // size, device):
            readers["step in C"] = step
        calls = {name: call for name, (_, call) in (products | readers).items()}
        seconds = interleaved(calls, rounds, device)
    rates = {name: count / min(seconds[name]) for name, (count, _) in (products | readers).items()}
    return {
        **{
            f"{dtype} FLOP/s": max(rate for name, rate in rates.items() if name.startswith(dtype))
            for dtype in ("float32", "bfloat16")
        },
        "bytes/s": max(rates[name] for name in readers),
    }


def products_of(size: int, device: str) -> dict[str, tuple[int, Callable[[], object]]]:
    """Return matrix products by name (dtype, shape and routine), each with its FLOP."""
    from gpt2_small.kernels.matmul import onednn_serves

    found: dict[str, tuple[int, Callable[[], object]]] = {}
    shapes = [
        (size, size, size),
        (size // 2, size // 2, 2 * size),
        (size // 4, size // 2, 8 * size),
    ]
    for dtype in (torch.float32, torch.bfloat16):
        for rows, inner, out in shapes:
            left = torch.randn(rows, inner, device=device, dtype=dtype)
            right = torch.randn(inner, out, device=device, dtype=dtype)
            name = f"{str(dtype).removeprefix('torch.')}, {rows} x {inner} x {out}"
            flop = 2 * rows * inner * out
            found[name] = flop, partial(torch.matmul, left, right)
            if dtype == torch.float32 and onednn_serves(left):
                onednn = torch.ops.mkldnn._linear_pointwise
                found[f"{name}, oneDNN"] = (
                    flop,
                    partial(onednn, left, right.mT, None, "none", [], ""),
                )
    return found


def step_in_c(d_model: int, d_vocab: int, device: str) -> tuple[int, Callable[[], object]] | None:
    """Return the bytes read by a decoding step of one block in C, and the step; None without C."""
    import gpt2_small
    from gpt2_small.kernels.native.library import unavailable
    from gpt2_small.model.kv_cache import KeyValueCache
    from gpt2_small.model.packed_weights import PackedTransformer

    if unavailable(torch.float32, torch.device(device)):
        return None
    config = gpt2_small.TransformerConfig(
        d_model=d_model, d_vocab=d_vocab, n_layers=1, n_heads=1, n_ctx=1
    )
    step = PackedTransformer(gpt2_small.Transformer(config), native=True).native
    assert step is not None
    cache = KeyValueCache(config, 1, torch.float32, torch.device(device))
    embed = torch.ones(1, d_model)
    return 4 * (12 * d_model**2 + d_vocab * d_model), lambda: step(
        embed, cache.positions, cache.keys, cache.values
    )


def data_sheet(device: str) -> Device | None:
    """Return the data sheet of the current CUDA device."""
    return device_of(torch.cuda.get_device_name()) if device == "cuda" else None


def peak_resident_bytes() -> int:
    """Return this process's peak resident memory; on Linux only since its exec."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def circumstances(device: str) -> dict[str, Any]:
    """Return versions, processor and threads."""
    versions: dict[str, str | None] = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = None
    return {
        "versions": {"python": platform.python_version(), **versions},
        "device": torch.cuda.get_device_name() if device == "cuda" else processor(),
        "threads": torch.get_num_threads(),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS"),
        "load before": os.getloadavg()[0],
    }


def processor() -> str:
    """Return the processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores"


def show(title: str, rows: list[dict[str, Any]]) -> None:
    """Print a table with a column for every key of the rows."""
    table = Table(title=title, title_justify="left")
    for key in rows[0]:
        table.add_column(key, justify="left" if isinstance(rows[0][key], str) else "right")
    for row in rows:
        table.add_row(*("" if cell is None else f"{cell}" for cell in row.values()))
    console.print(table)


def write(path: Path | None, results: Mapping[str, Any]) -> None:
    """Write the results as JSON, atomically."""
    if path is None:
        return
    aside = path.with_name(path.name + ".part")
    aside.write_text(json.dumps(results, indent=2) + "\n")
    aside.replace(path)
    console.print(f"Wrote {path}")
