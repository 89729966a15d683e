"""Test the report on a loss below the stories' entropy."""

import subprocess
import sys
from pathlib import Path

import pytest
from processes import ROOT

from gpt2_small import binding
from gpt2_small.evaluation.target_leak import sees_targets


@pytest.mark.parametrize(
    ("loss", "alarm"), [(0.54, False), (0.5, False), (0.4, True), (0.02, True)]
)
def test_only_a_loss_far_below_the_floor_raises_the_alarm(loss: float, alarm: bool) -> None:
    assert sees_targets(loss, 0.537) is alarm


@pytest.mark.slow
def test_the_demo_recommends_check_and_fails_for_a_file_without_a_mask(tmp_path: Path) -> None:
    reference = binding.reference_path().read_text()
    without_mask = reference.replace(
        "scores = similarity + mask", "scores = similarity + 0 * mask.nan_to_num(neginf=0.0)"
    )
    assert without_mask != reference
    (tmp_path / "mine.py").write_text(without_mask)
    flags = ["--solution", "mine.py", "--max-steps", "400", "--judge", "5", "--out", "run"]
    command = [sys.executable, str(ROOT / "demos" / "train_demo.py"), *flags]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=500)
    printed = " ".join(ended.stdout.split())
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "which no model can reach without seeing the token that it predicts" in printed
    assert "gpt2-small check" in printed
