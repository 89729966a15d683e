"""setup_env.sh, run in a folder of its own with a stand-in for Python and pip."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from stand_in import House

ROOT = Path(__file__).resolve().parents[1]
CANDIDATES = ("python3", "python3.14", "python3.13", "python3.12", "python3.11")


@pytest.fixture
def house(tmp_path: Path) -> House:
    house = House(tmp_path / "a checkout", tmp_path / "pythons", tmp_path / "calls")
    house.root.mkdir()
    house.pythons.mkdir()
    for name in ("setup_env.sh", "constraints.txt", "pyproject.toml"):
        shutil.copy2(ROOT / name, house.root / name)
    for name in CANDIDATES:
        house.python("none", name)
    house.python("3.11")
    return house


def one_sentence(err: str) -> str:
    """The last line, after making sure that it is the only one from setup_env.sh itself."""
    *_, last = err.strip().splitlines()
    assert err.count("setup_env.sh: ") == 1
    assert last.startswith("setup_env.sh: ")
    return last


@pytest.mark.parametrize("script", ["setup_env.sh", ".ci/run"])
def test_a_script_is_executable_and_has_no_syntax_error(script: str) -> None:
    assert os.access(ROOT / script, os.X_OK)
    subprocess.run(["bash", "-n", str(ROOT / script)], check=True)


def test_the_command_runs_where_the_user_is_and_its_exit_code_comes_back(house: House) -> None:
    result = house.run("bash", "-c", "pwd; exit 7", cwd=house.pythons)
    assert (result.returncode, result.stdout.strip()) == (7, str(house.pythons))


def test_the_command_finds_the_environment_first_on_its_path(house: House) -> None:
    result = house.run("bash", "-c", 'echo "$VIRTUAL_ENV"; command -v python')
    venv = house.root / ".venv"
    assert result.stdout.splitlines() == [str(venv), str(venv / "bin" / "python")]


def test_the_command_takes_the_place_of_the_script_so_that_signals_reach_it(house: House) -> None:
    process = house.start("bash", "-c", "echo $$")
    out, _ = process.communicate(timeout=60)
    assert int(out) == process.pid


def test_torch_is_installed_first_then_the_rest_and_the_project(house: House) -> None:
    house.run("true")
    first, second = house.pip_calls()
    assert " torch==2.13.0 " in first
    assert "--editable .[dev]" in second


def test_the_rest_is_fitted_to_the_torch_that_was_installed(house: House) -> None:
    house.run("true")
    constraints = (house.root / ".venv/.setup/constraints.txt").read_text().splitlines()
    assert [line for line in constraints if line.startswith("torch==")] == ["torch==2.13.0+cpu"]


def test_the_users_own_pip_settings_stay_in_force(house: House) -> None:
    house.run("true", PIP_INDEX_URL="file:///mine")
    for call in house.pip_calls():
        assert call.endswith("# index file:///mine")
        assert "--isolated" not in call
        assert "index-url" not in call


def test_a_second_run_asks_nothing_of_pip_and_says_nothing(house: House) -> None:
    house.run("true")
    before = house.pip_calls()
    assert house.run("echo", "hello").stderr == ""
    assert house.pip_calls() == before


@pytest.mark.parametrize("changed", ["constraints.txt", "pyproject.toml", "setup_env.sh"])
def test_a_change_in_what_the_environment_is_made_from_installs_again(
    house: House, changed: str
) -> None:
    house.run("true")
    with (house.root / changed).open("a") as file:
        file.write("\n# changed\n")
    house.run("true")
    assert len(house.pip_calls()) == 4


def test_a_moved_checkout_is_set_up_again(house: House) -> None:
    house.run("true")
    house.root = house.root.rename(house.root.with_name("moved"))
    house.run("true")
    assert len(house.pip_calls()) == 4


def test_the_chosen_torch_is_remembered(house: House) -> None:
    house.run("true", TORCH_SPEC="torch==2.13.0+cpu")
    house.run("true")
    assert len(house.pip_calls()) == 2
    with (house.root / "pyproject.toml").open("a") as file:
        file.write("\n# changed\n")
    house.run("true")
    assert " torch==2.13.0+cpu " in house.pip_calls()[2]


def test_a_chosen_torch_that_does_not_exist_is_forgotten(house: House) -> None:
    assert house.run("true", TORCH_SPEC="torch==9", PIP_FAILS_ON="torch==9").returncode == 2
    assert house.run("true").returncode == 0
    assert " torch==2.13.0 " in house.pip_calls()[1]


def test_a_python_that_is_too_old_is_one_sentence_and_nothing_is_made(house: House) -> None:
    house.python("3.9")
    result = house.run("true")
    assert result.returncode == 2
    assert "Python 3.11 to 3.14 is needed, but python3 is 3.9" in one_sentence(result.stderr)
    assert not (house.root / ".venv").exists()


def test_a_newer_python_beside_one_that_is_too_old_is_found(house: House) -> None:
    house.python("3.9")
    house.python("3.12", "python3.12")
    assert "making .venv with Python 3.12" in house.run("true").stderr


def test_the_python_that_was_asked_for_replaces_another(house: House) -> None:
    house.run("true")
    wanted = house.python("3.12", "python3.12")
    result = house.run(".venv/bin/python", "-c", "version_info", cwd=house.root, PYTHON=str(wanted))
    assert result.stdout.strip() == "3.12"


def test_a_python_that_was_asked_for_and_does_not_run_is_one_sentence(house: House) -> None:
    result = house.run("true", PYTHON="/no/python")
    assert result.returncode == 2
    assert "/no/python does not run" in one_sentence(result.stderr)


def test_a_python_without_ensurepip_is_told_which_package_is_missing(house: House) -> None:
    result = house.run("true", NO_ENSUREPIP="1")
    assert result.returncode == 2
    assert "python3.11-venv" in one_sentence(result.stderr)


def test_a_failed_download_names_the_package_and_the_log_and_spoils_nothing(house: House) -> None:
    result = house.run("true", PIP_FAILS_ON="hatchling")
    sentence = one_sentence(result.stderr)
    assert result.returncode == 2
    assert "pip could not install hatchling" in sentence
    assert str(house.root / ".venv/.setup/pip.log") in sentence
    assert "anew" not in house.run("true").stderr


def test_an_interrupted_set_up_is_made_anew(house: House) -> None:
    process = house.start_and_stay_in_pip(60)
    (house.root / ".venv" / "half").touch()
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    result = house.run("true")
    assert "making .venv anew: an earlier set-up was interrupted" in result.stderr
    assert result.returncode == 0
    assert not (house.root / ".venv" / "half").exists()


def test_the_torch_chosen_for_an_interrupted_set_up_is_remembered(house: House) -> None:
    process = house.start_and_stay_in_pip(60, TORCH_SPEC="torch==8")
    os.killpg(process.pid, signal.SIGTERM)
    process.communicate()
    house.run("true")
    assert " torch==8 " in house.pip_calls()[1]


def test_a_failure_once_files_are_being_installed_makes_the_next_set_up_start_anew(
    house: House,
) -> None:
    assert house.run("true", DISK_IS_FULL="1").returncode == 2
    assert "an earlier set-up was interrupted" in house.run("true").stderr


def test_a_change_of_torch_that_is_interrupted_leaves_nothing_that_looks_finished(
    house: House,
) -> None:
    house.run("true")
    process = house.start_and_stay_in_pip(60, TORCH_SPEC="torch==8")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert "an earlier set-up was interrupted" in house.run("true").stderr


def environment_made_by_hand(house: House) -> Path:
    """A file in a .venv that setup_env.sh did not make."""
    mine = house.root / ".venv/bin/mine"
    mine.parent.mkdir(parents=True)
    shutil.copy2(house.pythons / "python3", mine.with_name("python"))
    mine.touch()
    return mine


def test_an_environment_made_by_hand_is_used_as_it_is(house: House) -> None:
    mine = environment_made_by_hand(house)
    assert "making .venv" not in house.run("true").stderr
    assert mine.exists()


def test_an_environment_made_by_hand_without_pip_is_given_pip(house: House) -> None:
    mine = environment_made_by_hand(house)
    assert "making .venv with Python 3.11" in house.run("true", NO_PIP="1").stderr
    assert mine.exists()


@pytest.mark.skipif(shutil.which("flock") is None, reason="flock is not installed")
def test_two_set_ups_at_once_install_once(house: House) -> None:
    first = house.start_and_stay_in_pip(0.3)
    second = house.run("true")
    first.communicate(timeout=60)
    assert (first.returncode, second.returncode) == (0, 0)
    assert len(house.pip_calls()) == 2


@pytest.mark.parametrize(
    ("cuda", "has_gpu", "said"),
    [
        ("None", True, "there is a GPU here that this build of PyTorch does not use"),
        ("'13.0'", False, "no GPU is seen here"),
        ("None", False, None),
        ("'13.0'", True, None),
    ],
)
def test_a_build_of_torch_that_does_not_suit_the_machine_is_said(
    house: House, cuda: str, has_gpu: bool, said: str | None
) -> None:
    house.gpu(has_gpu)
    *_, last = house.run("true", TORCH_CUDA=cuda).stderr.strip().splitlines()
    assert (said or "setup: ready: ") in last


def test_help_explains_the_builds_of_torch_and_makes_nothing(house: House) -> None:
    result = house.run("--help")
    assert "TORCH_SPEC" in result.stdout
    assert not (house.root / ".venv").exists()


@pytest.mark.parametrize(("argument", "code"), [("--no-such-option", 2), ("no-such-command", 127)])
def test_what_cannot_be_run_is_one_sentence(house: House, argument: str, code: int) -> None:
    result = house.run(argument)
    assert result.returncode == code
    assert argument in one_sentence(result.stderr)
