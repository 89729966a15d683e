"""Define a learner's file."""

from pathlib import Path

import pytest


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "my_gpt2.py"
    file.write_text("a = 1\n")
    return file
