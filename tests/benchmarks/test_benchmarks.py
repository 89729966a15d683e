"""Test that every benchmark runs at a tiny size."""

import json
import subprocess
import sys

import pytest
from processes import ROOT, run_python

BENCHMARKS = ROOT / "benchmarks"
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
@pytest.mark.slow
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


@pytest.mark.parametrize("threads", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_the_encoding_benchmark_prints_its_table_and_writes_its_results(tmp_path, threads):
    path, text = tmp_path / "results.json", tmp_path / "text.txt"
    text.write_text("It's 3,141 cats; 中文 😀.\n" * 1000, encoding="utf-8")
    source = ["--text", text] if threads == "1" else []
    options = ["--megabytes", "0.02", "--rounds", "1", "--threads", threads, "--json", path]
    command = [BENCHMARKS / "encode.py", *source, *options]
    done = run_python(*command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    written = json.loads(path.read_text())
    assert 19_000 < written["bytes"] <= 20_000
    assert 3_000 < written["tokens"] < 12_000
    assert written["circumstances"]["versions"]["tiktoken"]
    assert [row["encoder"].split(",")[0] for row in written["encoding"]["table"]] == [
        "ours",
        "tiktoken",
        *["ours"] * (threads == "2"),
        "tiktoken batch",
    ]
    assert "MB/s" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


@pytest.mark.slow
def test_a_text_that_cannot_be_encoded_is_reported_in_one_sentence(tmp_path):
    command = [sys.executable, BENCHMARKS / "encode.py", "--text", tmp_path / "none.txt"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 2
    assert done.stderr.startswith(f"{tmp_path / 'none.txt'} cannot be read as text")


@pytest.mark.slow
def test_a_folder_without_nanogpt_is_refused_in_one_sentence(tmp_path):
    command = [sys.executable, BENCHMARKS / "train_step.py", *TINY, "--nanogpt", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 2
    assert (
        done.stderr.strip() == f"{tmp_path} has no model.py; give the folder of a nanoGPT checkout"
    )


@pytest.mark.slow
def test_the_pages_benchmark_compares_the_same_tokens(tmp_path):
    path = tmp_path / "results.json"
    command = [sys.executable, BENCHMARKS / "page_stream.py", "--preset", "tiny", "--rounds", "2"]
    done = subprocess.run(
        [*command, "--new-tokens", "5", "--json", path], capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr
    written = json.loads(path.read_text())
    assert set(written["tokens a second"]) == {"plain", "page"}
    assert all(speed > 0 for speed in written["tokens a second"].values())


@pytest.mark.slow
def test_the_multiple_choice_benchmark_compares_the_same_answers(tmp_path):
    pytest.importorskip("lm_eval")
    path = tmp_path / "results.json"
    command = [sys.executable, BENCHMARKS / "choices.py", "--preset", "tiny", "--rounds", "1"]
    done = subprocess.run(
        [*command, "--tokenizer", "byte", "--examples", "3", "--json", path],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    written = json.loads(path.read_text())
    assert written["accuracy"]["ours"] == written["accuracy"]["harness"]
    assert written["ratio"] > 0
    assert "times as fast" in done.stdout
