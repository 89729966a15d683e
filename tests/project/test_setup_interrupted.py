"""Test failed and interrupted runs of setup_env.sh: repeated, a user's own environment kept."""

import os
import shutil
import signal
from pathlib import Path

import pytest
from fake_checkout import FakeCheckout, new_checkout, one_sentence


@pytest.fixture
def checkout(tmp_path: Path) -> FakeCheckout:
    return new_checkout(tmp_path)


def test_a_failed_download_is_reported_with_package_and_log_and_can_be_repeated(
    checkout: FakeCheckout,
) -> None:
    result = checkout.run("true", PIP_FAILS_ON="hatchling")
    sentence = one_sentence(result.stderr)
    assert result.returncode == 2
    assert "pip could not install hatchling" in sentence
    assert str(checkout.root / ".venv/.setup/pip.log") in sentence
    assert "recreating" not in checkout.run("true").stderr


def test_an_interrupted_set_up_is_repeated_from_the_start(checkout: FakeCheckout) -> None:
    process = checkout.start_and_stay_in_pip()
    (checkout.root / ".venv" / "half").touch()
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    result = checkout.run("true")
    assert "recreating .venv: an earlier set-up was interrupted" in result.stderr
    assert result.returncode == 0
    assert not (checkout.root / ".venv" / "half").exists()


def test_the_torch_chosen_for_an_interrupted_set_up_is_remembered(checkout: FakeCheckout) -> None:
    process = checkout.start_and_stay_in_pip(TORCH_SPEC="torch==8")
    os.killpg(process.pid, signal.SIGTERM)
    process.communicate()
    checkout.run("true")
    assert " torch==8 " in checkout.pip_calls()[1]


def test_after_a_failure_during_installation_the_next_set_up_starts_from_scratch(
    checkout: FakeCheckout,
) -> None:
    assert checkout.run("true", DISK_IS_FULL="1").returncode == 2
    assert "an earlier set-up was interrupted" in checkout.run("true").stderr


def test_an_interrupted_change_of_torch_is_not_taken_for_a_finished_set_up(
    checkout: FakeCheckout,
) -> None:
    checkout.run("true")
    process = checkout.start_and_stay_in_pip(TORCH_SPEC="torch==8")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert "an earlier set-up was interrupted" in checkout.run("true").stderr


def environment_made_by_hand(checkout: FakeCheckout) -> Path:
    """Create a file in a .venv that setup_env.sh did not create."""
    mine = checkout.root / ".venv/bin/mine"
    mine.parent.mkdir(parents=True)
    shutil.copy2(checkout.pythons / "python3", mine.with_name("python"))
    mine.touch()
    return mine


def test_an_environment_made_by_hand_is_used_unchanged(checkout: FakeCheckout) -> None:
    mine = environment_made_by_hand(checkout)
    assert "creating .venv" not in checkout.run("true").stderr
    assert mine.exists()


def test_pip_is_added_to_an_environment_made_by_hand_without_it(checkout: FakeCheckout) -> None:
    mine = environment_made_by_hand(checkout)
    assert "creating .venv with Python 3.11" in checkout.run("true", NO_PIP="1").stderr
    assert mine.exists()


@pytest.mark.skipif(shutil.which("flock") is None, reason="flock is not installed")
def test_two_set_ups_at_once_install_once(checkout: FakeCheckout) -> None:
    first = checkout.start_and_stay_in_pip()
    second = checkout.start("true")
    assert second.stderr is not None
    assert any("waiting for another set-up" in line for line in second.stderr)
    checkout.let_pip_end()
    for process in (first, second):
        process.communicate(timeout=60)
    assert (first.returncode, second.returncode) == (0, 0)
    assert len(checkout.pip_calls()) == 2
