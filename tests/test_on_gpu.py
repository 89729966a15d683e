"""The script for a GPU, tried at a tiny size on the CPU."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from processes import ROOT
from small_runs import play

SECTIONS = ("parity", "decoding", "resume", "training", "generation", "shakespeare")


def run_the_script(tmp_path: Path, *options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "benchmarks/on_gpu.sh", *map(str, options)],
        env={"PATH": "/usr/bin:/bin", "PYTHON": sys.executable, "HOME": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=500,
    )


def test_every_section_holds_at_a_tiny_size_and_is_written(tmp_path):
    text = play(tmp_path)
    done = run_the_script(tmp_path, "--tiny", "--device", "cpu", "--text", text)
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((tmp_path / "on_gpu.json").read_text())
    assert [results[name]["holds"] for name in SECTIONS] == [True] * len(SECTIONS)
    assert all(row["steps"] > 0 for row in results["decoding"]["table"])
    assert results["resume"]["table"][0]["same bits"] is True
    assert {row["model"] for row in results["training"]["table"]} >= {"twin"}
    assert "nanoGPT: left out, it is not at hand" in done.stdout


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_how_to_try_it(tmp_path):
    done = run_the_script(tmp_path)
    assert (done.returncode, done.stderr.strip()) == (
        2,
        "error: there is no GPU here; give --tiny --device cpu",
    )
