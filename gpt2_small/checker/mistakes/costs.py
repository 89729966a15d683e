"""Read the measured cost in held-out loss of each mistake in the model's parts.

A cost is the percentage by which the held-out loss of a short run ends above the stories' entropy;
`python benchmarks/mistake_costs.py` measures it.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from gpt2_small.checker.mistakes.mistake import Mistake, catalogue
from gpt2_small.checker.parts import MODULES
from gpt2_small.files.json_files import read_json

FORMAT = "gpt2-small-mistake-costs/1"
COSTS = Path(__file__).parent / "costs.json"

# The runs in which a mistake is tried, in order, until one differs from the right model's; by the
# fields that differ from the preset's.
VARIATIONS: Mapping[str, Mapping[str, Any]] = {
    "tied": {},
    "untied": {"tied_embeddings": False},
    "dropout": {"dropout": 0.1},
}


@dataclass(frozen=True)
class Cost:
    """A mistake's cost.

    variation: the run of the measurement, one of VARIATIONS; None if it changes none.
    above_floor: the percentage; None if it changes nothing or does not train.
    error: the exception that prevents training, such as `ValueError`.
    """

    variation: str | None = None
    above_floor: float | None = None
    error: str | None = None


@dataclass(frozen=True)
class Costs:
    """The costs of all mistakes and of the right model.

    steps: each run's steps.
    right: for each variation, percentages above the floor for several seeds; the mistakes have
        the first seed.
    mistakes: costs by id.
    """

    steps: int
    right: Mapping[str, tuple[float, ...]]
    mistakes: Mapping[str, Cost]


@cache
def measured_costs() -> Costs:
    """Read the measured costs. Raises UserError if their file cannot be read.

    Omits mistakes whose edits have changed since.
    """
    stored = read_json(COSTS, FORMAT)
    known = {mistake.id: mistake for mistake in model_mistakes()}
    found = {
        mistake_id: Cost(**{k: v for k, v in entry.items() if k != "edit"})
        for mistake_id, entry in stored["mistakes"].items()
        if mistake_id in known and entry["edit"] == edit_hash(known[mistake_id])
    }
    for mistake in known.values():
        if mistake.same_as in found:
            found.setdefault(mistake.id, found[mistake.same_as])
    right = {name: tuple(values) for name, values in stored["right"].items()}
    return Costs(stored["steps"], right, found)


def model_mistakes() -> list[Mistake]:
    """The mistakes and the equivalent edits in the model's parts."""
    return [mistake for part in MODULES for mistake in catalogue(part)]


def edit_hash(mistake: Mistake) -> str:
    """A hash of a mistake's edits, to detect outdated costs."""
    return hashlib.sha256(json.dumps(mistake.edits).encode()).hexdigest()[:12]
