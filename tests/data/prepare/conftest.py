"""Define a play to prepare, and small batches."""

from pathlib import Path

import pytest
from shard_folders import SPACED_PLAY, set_small_batches, write_file


@pytest.fixture
def play(tmp_path: Path) -> Path:
    return write_file(tmp_path / "play.txt", SPACED_PLAY)


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    set_small_batches(monkeypatch)
