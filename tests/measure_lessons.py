"""Measure what a lesson's text says again: `python tests/measure_lessons.py 03_gpt`.

The experiment of a lesson is `lessons/NN_name/experiment.py`: SEEDS, and `measure(seed)`, which
gives numbers by name. What it gives is stored beside it in measurements.json, from which the lesson
draws its intervals and the tests take their values.
"""

import json
import sys
from pathlib import Path
from types import ModuleType

import torch

import gpt2_small
from gpt2_small import files

LESSONS = Path(__file__).resolve().parents[1] / "lessons"


def experiment(lesson: str) -> ModuleType:
    """The experiment of a lesson, by the name of its folder."""
    return gpt2_small.load(LESSONS / lesson / "experiment.py")


def experiments() -> list[str]:
    """The folders of the lessons that have an experiment, in order."""
    return sorted(path.parent.name for path in LESSONS.glob("[0-9][0-9]_*/experiment.py"))


def main(lesson: str) -> None:
    """Measure with every seed, and store what was measured after each."""
    found = experiment(lesson)
    path = LESSONS / lesson / "measurements.json"
    values: dict[str, list[float]] = {}
    for number, seed in enumerate(found.SEEDS, start=1):
        for name, value in found.measure(seed).items():
            values.setdefault(name, []).append(round(value, 4))
        content = {"torch": torch.__version__, "seeds": found.SEEDS[:number], "values": values}
        files.write_atomically(path, json.dumps(content, ensure_ascii=False, indent=1) + "\n")
        print(f"Wrote {path}: seed {seed}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
