"""Check and measure the kit on one GPU: parity, decoding, resume, speed and memory.

    benchmarks/on_gpu.sh --nanogpt nanoGPT --text input.txt
    benchmarks/on_gpu.sh --tiny --device cpu

Sections run one after the other until the time is up, and the results are written after each, so
that an interrupted run keeps its results. `--tiny` makes everything small, to try the script
without a GPU.
"""

import argparse
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from benchmark_sizes import FULL, TINY, Bench, release
from gpu_checks import decoding, parity, resume, train_small
from gpu_speed import generation, shakespeare, training
from measuring import circumstances, console, write

# Name, function, and the expected seconds on one H100.
SECTIONS: tuple[tuple[str, Callable[[Bench], dict[str, Any]], int], ...] = (
    ("parity", parity, 40),
    ("decoding", decoding, 20),
    ("resume", resume, 60),
    ("training", training, 150),
    ("generation", generation, 40),
    ("shakespeare", shakespeare, 150),
)


def run_sections(bench: Bench, results: dict[str, Any], minutes: float) -> bool:
    """Run the sections that fit the time; return whether all checks hold."""
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
    """Yield a temporary folder for runs and prepared texts."""
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
    parser.add_argument("--tiny", action="store_true", help="use tiny sizes")
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
