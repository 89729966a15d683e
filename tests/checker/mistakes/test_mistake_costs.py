"""Test the costs of mistakes in training: stored numbers, page and command."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from mistake_costs_page import cell, with_costs
from processes import ROOT

from gpt2_small.checker.mistakes.costs import Cost, measured_costs, model_mistakes

COMMAND = ROOT / "benchmarks" / "mistake_costs.py"


def test_the_page_has_the_measured_costs() -> None:
    page = (ROOT / "docs" / "mistakes.md").read_text(encoding="utf-8")
    assert with_costs(page) == page


def test_every_cost_is_of_a_mistake_of_the_models_parts() -> None:
    costs = measured_costs()
    assert set(costs.mistakes) <= {mistake.id for mistake in model_mistakes()}
    assert len(costs.mistakes) >= 60
    assert {len(seeds) for seeds in costs.right.values()} == {5}


def test_a_model_without_a_mask_ends_far_below_the_floor_and_one_with_post_norm_above() -> None:
    costs = measured_costs()
    mask = costs.mistakes["attention-mask-missing"].above_floor
    norm = costs.mistakes["block-post-norm"].above_floor
    assert mask is not None
    assert norm is not None
    assert mask < -50 < 0 < max(costs.right["tied"]) < norm


@pytest.mark.parametrize(
    ("cost", "words"),
    [
        (None, "not measured"),
        (Cost(), "as the right model"),
        (Cost("tied", error="ValueError"), "does not train (ValueError)"),
        (Cost("tied", 28.44), "28.4 %"),
        (Cost("dropout", 40.0), "40.0 % (with dropout)"),
    ],
)
def test_a_cost_is_formatted_in_words(cost: Cost | None, words: str) -> None:
    assert cell(cost) == words


@pytest.mark.slow
def test_the_command_measures_only_missing_costs(tmp_path: Path) -> None:
    options = ["--steps", "3", "--seeds", "1", "--processes", "1", "--out", tmp_path / "c.json"]
    options += ["--only", "attention-mask-missing", "transformer-last-position"]
    printed = [
        subprocess.run(
            [sys.executable, COMMAND, *map(str, options)],
            capture_output=True,
            text=True,
            env={"PYTHONPATH": str(ROOT), "PATH": ""},
        )
        for _ in range(2)
    ]
    assert [one.returncode for one in printed] == [0, 0], printed[0].stderr
    assert "2/2" in printed[0].stdout
    assert re.search(r"^1/", printed[1].stdout, flags=re.MULTILINE) is None
    stored = json.loads((tmp_path / "c.json").read_text())["mistakes"]
    assert stored["transformer-last-position"]["error"] == "ValueError"
    assert stored["attention-mask-missing"]["above_floor"] > 0
