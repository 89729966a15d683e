"""Test the GPU script at a tiny size on the CPU."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from processes import ROOT, run_python
from small_runs import play

SCRIPT = ROOT / "benchmarks/on_gpu.sh"
PROGRAM = ROOT / "benchmarks/gpu/on_gpu.py"
SECTIONS = ("parity", "decoding", "resume", "training", "generation", "shakespeare")
QUICK = ("decoding", "generation")


def run_the_program(tmp_path: Path, *options: object) -> subprocess.CompletedProcess[str]:
    """Run the script's Python program in a process that has loaded torch."""
    path = os.pathsep.join(map(str, (ROOT, ROOT / "benchmarks")))
    return run_python(PROGRAM, *options, cwd=tmp_path, PYTHONPATH=path, HOME=str(tmp_path))


def test_the_quick_sections_pass_at_a_tiny_size_and_are_written(tmp_path):
    done = run_the_program(tmp_path, "--tiny", "--device", "cpu", "--sections", *QUICK)
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((tmp_path / "on_gpu.json").read_text())
    assert [results[name]["holds"] for name in QUICK] == [True] * len(QUICK)
    assert all(row["steps"] > 0 for row in results["decoding"]["table"])


@pytest.mark.slow
def test_every_section_passes_at_a_tiny_size_and_is_written(tmp_path):
    done = subprocess.run(
        [SCRIPT, "--tiny", "--device", "cpu", "--text", play(tmp_path)],
        env={"PATH": "/usr/bin:/bin", "PYTHON": sys.executable, "HOME": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((tmp_path / "on_gpu.json").read_text())
    assert [results[name]["holds"] for name in SECTIONS] == [True] * len(SECTIONS)
    assert all(row["steps"] > 0 for row in results["decoding"]["table"])
    assert results["resume"]["table"][0]["same bits"] is True
    assert {row["model"] for row in results["training"]["table"]} >= {"twin"}
    assert "nanoGPT: skipped, not found" in done.stdout


def test_the_script_passes_its_options_to_the_program(tmp_path):
    env = {"PATH": "/usr/bin:/bin", "PYTHON": "echo"}
    printed = subprocess.check_output([SCRIPT, "--minutes", "2"], env=env, text=True)
    assert printed.split() == [str(PROGRAM), "--minutes", "2"]


@pytest.mark.skipif(
    torch.cuda.is_available(), reason="the refusal without a GPU cannot occur with one"
)
def test_without_a_gpu_the_script_prints_the_command_for_the_cpu(tmp_path):
    done = run_the_program(tmp_path)
    assert (done.returncode, done.stderr.strip()) == (
        2,
        "error: there is no GPU here; give --tiny --device cpu",
    )
