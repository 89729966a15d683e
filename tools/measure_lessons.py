"""Measure a lesson's experiment again: `python tools/measure_lessons.py 03_gpt --processes 2`.

The experiment of a lesson is `lessons/NN_name/experiment.py`: SEEDS, and `measure(seed)`, which
returns numbers by name. They are stored in measurements.json beside it; the lesson draws its
intervals from them, and the tests read them.
"""

import argparse
import json
import multiprocessing
from pathlib import Path
from types import ModuleType

import torch

import gpt2_small
from gpt2_small.files import atomic

LESSONS = Path(__file__).resolve().parents[1] / "lessons"


def experiment(lesson: str) -> ModuleType:
    """Return a lesson's experiment, by the name of its folder."""
    return gpt2_small.load(LESSONS / lesson / "experiment.py")


def experiments() -> list[str]:
    """Return the folders of the lessons that have an experiment, in order."""
    return sorted(path.parent.name for path in LESSONS.glob("[0-9][0-9]_*/experiment.py"))


def measured(lesson: str, seed: int) -> dict[str, float]:
    """Return an experiment's results for a seed, on one thread."""
    torch.set_num_threads(1)
    found: dict[str, float] = experiment(lesson).measure(seed)
    return found


def measured_again(lesson: str, processes: int) -> dict[str, list[float]]:
    """Return an experiment's results by name, for each seed, several seeds at a time."""
    seeds = experiment(lesson).SEEDS
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        rows = pool.starmap(measured, [(lesson, seed) for seed in seeds], chunksize=1)
    return {name: [round(row[name], 4) for row in rows] for name in rows[0]}


def main() -> None:
    """Measure with every seed, and store the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("lesson", choices=experiments())
    parser.add_argument("--processes", type=int, default=1, help="how many seeds at a time")
    parser.add_argument("--out", type=Path, help="default: measurements.json beside the lesson")
    arguments = parser.parse_args()
    path = arguments.out or LESSONS / arguments.lesson / "measurements.json"
    seeds = experiment(arguments.lesson).SEEDS
    values = measured_again(arguments.lesson, arguments.processes)
    content = {"torch": torch.__version__, "seeds": seeds, "values": values}
    atomic.write_atomically(path, json.dumps(content, ensure_ascii=False, indent=1) + "\n")
    print(f"Wrote {path}")


if __name__ == "__main__":
    main()
