"""Read what each mistake in the model's parts costs a training run, as it was measured.

The numbers are percents by which the held-out loss ends above the stories' entropy after a short
run; `python benchmarks/mistake_costs.py` measures them.
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
from gpt2_small.files import read_json

FORMAT = "gpt2-small-mistake-costs/1"
COSTS = Path(__file__).parent / "costs.json"

# The runs in which a mistake is tried, in this order, until one differs from the right model's:
# the fields that differ from those of the preset.
VARIATIONS: Mapping[str, Mapping[str, Any]] = {
    "tied": {},
    "untied": {"tied_embeddings": False},
    "dropout": {"dropout": 0.1},
}


@dataclass(frozen=True)
class Cost:
    """What a mistake costs.

    variation: the run that it was measured in, one of VARIATIONS; None where it changes none.
    above_floor: percents; None where it changes nothing, or does not train.
    error: why it does not train, such as `ValueError`.
    """

    variation: str | None = None
    above_floor: float | None = None
    error: str | None = None


@dataclass(frozen=True)
class Costs:
    """The costs of all mistakes, beside the right model's.

    steps: of each run.
    right: for each variation, percents above the floor for several seeds; the mistakes have the
        first seed.
    mistakes: by id.
    """

    steps: int
    right: Mapping[str, tuple[float, ...]]
    mistakes: Mapping[str, Cost]


@cache
def measured_costs() -> Costs:
    """The costs that were measured. Raises UserError where their file cannot be read.

    A mistake whose edits have changed since is left out.
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
    """The mistakes, and the other ways to compute the same, in the parts of the model."""
    return [mistake for part in MODULES for mistake in catalogue(part)]


def edit_hash(mistake: Mistake) -> str:
    """A hash of a mistake's edits, by which a cost that was measured for others is noticed."""
    return hashlib.sha256(json.dumps(mistake.edits).encode()).hexdigest()[:12]
