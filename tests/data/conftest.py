"""Define read-only folders of shards of one text."""

from pathlib import Path

import pytest
from shard_folders import PLAY, folders_of_shards, write_file


@pytest.fixture(scope="module")
def play(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_file(tmp_path_factory.mktemp("text") / "play.txt", PLAY)


@pytest.fixture(scope="module")
def prepared(play: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return read-only folders of the same text, by their kind of shards."""
    return folders_of_shards(play, tmp_path_factory.mktemp("prepared"))
