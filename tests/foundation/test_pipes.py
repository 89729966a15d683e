"""Test that pipes are refused instead of files, without waiting."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gpt2_small import binding
from gpt2_small.errors import UserError
from gpt2_small.evaluation.choices import read_questions
from gpt2_small.files.json_files import read_json_object
from gpt2_small.files.special_files import refuse_pipe
from gpt2_small.model.building import read_safetensors
from gpt2_small.runs.log import read_log, trim_log
from gpt2_small.tokenizers.gpt2_table import gpt2_ranks
from gpt2_small.tokenizers.registry import load_tokenizer

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")

READERS: dict[str, Callable[[Path], object]] = {
    "config.json": read_json_object,
    "my_gpt2.py": binding.read,
    "model.safetensors": read_safetensors,
    "log.jsonl": lambda path: read_log(path.parent),
    "tokenizer.json": lambda path: load_tokenizer(path.parent),
    "gpt2.tiktoken": gpt2_ranks,
    "choices.jsonl": read_questions,
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", READERS)
def test_a_pipe_in_the_place_of_a_file_is_refused(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(UserError, match=f"{name} is a pipe or a device, not a file"):
        READERS[name](tmp_path / name)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("last_step", [0, 3])
def test_a_log_that_is_a_pipe_is_refused_before_a_run_resumes(tmp_path, last_step):
    os.mkfifo(tmp_path / "log.jsonl")
    with pytest.raises(UserError, match=r"log\.jsonl is a pipe"):
        trim_log(tmp_path, last_step)


def test_files_folders_and_missing_paths_pass(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "file", tmp_path / "missing"):
        refuse_pipe(path)
