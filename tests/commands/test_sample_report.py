"""Test gpt2-small sample --json: the report, and files that cannot be written."""

import json
import os
from dataclasses import asdict

import pytest
from forked import the_forks
from sample_command import expected, report_of
from small_gpt2s import characters

from gpt2_small import binding


def test_the_json_report_has_texts_log_probabilities_and_candidates(sample, run_folder, tmp_path):
    path = tmp_path / "out.json"
    sample("--prompt", "HELLO", "--num-samples", 2, "--json", path)
    content = json.loads(path.read_text())
    rows = expected(run_folder, "HELLO", num_samples=2, candidates=10)
    assert content["format"] == "gpt2-small-sample/1"
    assert content["sha256"] == binding.sha256(binding.bound())
    assert content["options"]["seed"] == 3
    for told, row in zip(content["samples"], rows, strict=True):
        assert (told["text"], told["finish"]) == (row.text, "length")
        assert [token["id"] for token in told["tokens"]] == [step.id for step in row.steps]
        assert "".join(token["text"] for token in told["tokens"]) == row.text
        for token, step in zip(told["tokens"], row.steps, strict=True):
            assert token["log_probability"] == pytest.approx(step.log_probability)
            assert token["candidates"] == [asdict(candidate) for candidate in step.candidates]


def test_a_report_is_written_to_a_pipe_or_through_a_link(sample, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link.json").symlink_to("linked.json")
    (tmp_path / "linked.json").touch()
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reader, True)
    for name in ("pipe", "link.json"):
        code, _, _ = sample("--prompt", "A", "--max-new-tokens", 1, "--json", tmp_path / name)
        assert code == 0
    assert json.loads(os.read(reader, 2**16))["samples"][0]["finish"] == "length"
    os.close(reader)
    assert (tmp_path / "pipe").is_fifo()
    assert (tmp_path / "link.json").is_symlink()
    assert json.loads((tmp_path / "linked.json").read_text())["samples"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="/dev/full is Linux's")
def test_a_full_disk_at_standard_output_is_reported_in_one_sentence(run_folder):
    words = ["sample", "--model", run_folder, "--prompt", "A", "--max-new-tokens", 3, "--seed", 1]
    command = ("-m", "gpt2_small", *words)
    done = the_forks().start_python(*command, cwd=run_folder.parent, stdout="/dev/full")
    assert done.wait() == 2
    assert done.err.splitlines()[1:] == [
        "error: the output cannot be written, its disk is full; free some space"
    ]


def test_the_report_on_standard_output_equals_the_file(sample, tmp_path):
    path = tmp_path / "out.json"
    sample("--prompt", "HELLO", "--json", path)
    assert report_of(sample, "--prompt", "HELLO") == json.loads(path.read_text())


def test_the_report_has_the_prompts_ids(sample):
    report = report_of(sample, "--prompt", "HELLO")
    assert report["prompt_tokens"] == characters().encode("HELLO")
    assert report["samples"][0]["prompt"] == 0
