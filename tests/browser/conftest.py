"""Provide a browser, a served run of a small model, and a tab that shows it."""

from pathlib import Path

import pytest
from app_pages import small_run
from browsing import Tab, chromium, served_page

from gpt2_small import binding
from gpt2_small.app.models import Models
from gpt2_small.runs import append_log


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def run(solution, tmp_path_factory):
    """Create a run with two checkpoints and a log; its model generates until it is stopped."""
    folder = tmp_path_factory.mktemp("run") / "small"
    small_run(solution, folder, (3, 9), tokenizer_name="byte-chat", tied_embeddings=False)
    for step in range(1, 10):
        append_log(folder, {"step": step, "tokens": step * 8, "loss": 9.0 / step})
    return folder


@pytest.fixture(scope="module")
def served(run):
    with served_page(Models(str(run))) as found:
        yield found


@pytest.fixture
def tab(browser, served):
    with Tab(browser, served[0]) as found:
        yield found


@pytest.fixture
def mine(tmp_path) -> Path:
    """Write a learner's file with a wrong mask."""
    file = tmp_path / "my_gpt2.py"
    file.write_text(
        binding.reference_path().read_text().replace("triu(diagonal=1)", "triu(diagonal=2)")
    )
    return file
