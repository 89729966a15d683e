"""Define a small run and the command `sample` on it."""

from pathlib import Path

import pytest
from sample_command import SampleCommand, make_run, sample_command


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    return make_run(tmp_path)


@pytest.fixture
def sample(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> SampleCommand:
    return sample_command(run_folder, monkeypatch, capsys)
