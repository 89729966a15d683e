"""Every benchmark runs from beginning to end at a tiny size, in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
TINY = ["--preset", "tiny", "--rounds", "1", "--ceiling-size", "64"]


TINY_TRAINING = "--seq 8 --memory-batch 1 --memory-seq 8 --models twin --dtype float32"


@pytest.mark.parametrize(
    ("script", "options", "results"),
    [
        (
            "train_step.py",
            TINY_TRAINING.split(),
            ["forward and backward, float32", "with the optimiser, float32", "memory, float32"],
        ),
        ("decode.py", ["--new-tokens", "2", "--prompt", "3"], ["batch 1", "batch 8"]),
    ],
)
def test_a_benchmark_prints_its_table_and_writes_its_results(tmp_path, script, options, results):
    path = tmp_path / "results.json"
    done = subprocess.run(
        [sys.executable, BENCHMARKS / script, *TINY, *options, "--json", path],
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    written = json.loads(path.read_text())
    assert set(results) <= set(written)
    assert all(ceiling > 0 for ceiling in written["ceilings"].values())
    assert "float32" in done.stdout


def test_a_folder_that_is_no_nanogpt_is_one_sentence(tmp_path):
    command = [sys.executable, BENCHMARKS / "train_step.py", *TINY, "--nanogpt", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 2
    assert (
        done.stderr.strip() == f"{tmp_path} has no model.py; give the folder of a nanoGPT checkout"
    )
