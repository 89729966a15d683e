"""Test deeply nested JSON: an error, not a traceback."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gpt2_small import notebooks
from gpt2_small.checker.learner import progress
from gpt2_small.errors import UserError
from gpt2_small.files.json_files import read_json_object
from gpt2_small.runs.log import read_log
from gpt2_small.tokenizers.gpt2_table import gpt2_ranks
from gpt2_small.tokenizers.registry import load_tokenizer
from gpt2_small.weights.hub_models import is_complete

DEEP = "[" * 100_000
READERS: dict[str, Callable[[Path], object]] = {
    "config.json": read_json_object,
    "log.jsonl": lambda path: read_log(path.parent),
    "my_gpt2.ipynb": lambda path: notebooks.python_of(path, path.read_bytes()),
    "tokenizer.json": lambda path: load_tokenizer(path.parent),
    "vocab.json": gpt2_ranks,
}


@pytest.mark.parametrize("name", READERS)
def test_deeply_nested_json_is_refused_with_the_name_of_its_file(tmp_path, name):
    (tmp_path / name).write_text('{"a": ' + DEEP + "\n")
    with pytest.raises(UserError, match=name):
        READERS[name](tmp_path / name)


def test_a_model_with_a_deeply_nested_index_of_weights_counts_as_incomplete(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors.index.json").write_text(DEEP)
    assert not is_complete(tmp_path)


def test_deeply_nested_progress_counts_as_none(tmp_path):
    progress.path_for(tmp_path / "my_gpt2.py").write_text(DEEP)
    assert progress.read(tmp_path / "my_gpt2.py") == progress.Progress()
