"""Test setup_env.sh in a folder of its own, with a stand-in for Python and pip."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from fake_checkout import FakeCheckout, new_checkout, one_sentence
from processes import ROOT


@pytest.fixture
def checkout(tmp_path: Path) -> FakeCheckout:
    return new_checkout(tmp_path)


@pytest.mark.parametrize("script", ["setup_env.sh", ".ci/run"])
def test_a_script_is_executable_and_has_no_syntax_error(script: str) -> None:
    assert os.access(ROOT / script, os.X_OK)
    subprocess.run(["bash", "-n", str(ROOT / script)], check=True)


def test_the_command_runs_in_the_users_folder_and_its_exit_code_is_returned(
    checkout: FakeCheckout,
) -> None:
    result = checkout.run("bash", "-c", "pwd; exit 7", cwd=checkout.pythons)
    assert (result.returncode, result.stdout.strip()) == (7, str(checkout.pythons))


def test_the_command_finds_the_environment_first_on_its_path(checkout: FakeCheckout) -> None:
    result = checkout.run("bash", "-c", 'echo "$VIRTUAL_ENV"; command -v python')
    venv = checkout.root / ".venv"
    assert result.stdout.splitlines() == [str(venv), str(venv / "bin" / "python")]


def test_the_script_execs_the_command_so_that_signals_reach_it(
    checkout: FakeCheckout,
) -> None:
    process = checkout.start("bash", "-c", "echo $$")
    out, _ = process.communicate(timeout=60)
    assert int(out) == process.pid


def test_torch_is_installed_first_then_the_rest_and_the_project(checkout: FakeCheckout) -> None:
    checkout.run("true")
    first, second = checkout.pip_calls()
    assert " torch==2.13.0 " in first
    assert second.endswith("--editable . # index ")


@pytest.mark.parametrize("command", [(), ("pytest",), ("ruff",), ("mypy",)])
def test_a_development_tool_installs_the_development_extra(
    checkout: FakeCheckout, command: tuple[str, ...]
) -> None:
    checkout.run(*command)
    assert "--editable .[dev]" in checkout.pip_calls()[1]


def test_the_development_extra_is_added_to_a_finished_environment_once(
    checkout: FakeCheckout,
) -> None:
    checkout.run("true")
    checkout.run("pytest")
    assert "--editable .[dev]" in checkout.pip_calls()[3]
    checkout.run("pytest")
    checkout.run("true")
    assert len(checkout.pip_calls()) == 4


def test_a_change_keeps_the_development_extra(checkout: FakeCheckout) -> None:
    checkout.run("pytest")
    with (checkout.root / "pyproject.toml").open("a") as file:
        file.write("\n# changed\n")
    checkout.run("true")
    assert "--editable .[dev]" in checkout.pip_calls()[3]


def test_size_and_time_are_announced_before_anything_is_installed(checkout: FakeCheckout) -> None:
    lines = checkout.run("true").stderr.splitlines()
    announced = next(
        at for at, line in enumerate(lines) if re.search(r"about .* GB.* minutes", line)
    )
    assert announced < next(at for at, line in enumerate(lines) if "installing" in line)


def test_the_other_packages_are_installed_with_torch_constrained(checkout: FakeCheckout) -> None:
    checkout.run("true")
    constraints = (checkout.root / ".venv/.setup/constraints.txt").read_text().splitlines()
    assert [line for line in constraints if line.startswith("torch==")] == ["torch==2.13.0+cpu"]


def test_the_users_pip_settings_apply(checkout: FakeCheckout) -> None:
    checkout.run("true", PIP_INDEX_URL="file:///mine")
    for call in checkout.pip_calls():
        assert call.endswith("# index file:///mine")
        assert "--isolated" not in call
        assert "index-url" not in call


def test_a_second_run_calls_no_pip_and_prints_nothing(checkout: FakeCheckout) -> None:
    checkout.run("true")
    before = checkout.pip_calls()
    assert checkout.run("echo", "hello").stderr == ""
    assert checkout.pip_calls() == before


@pytest.mark.parametrize("changed", ["constraints.txt", "pyproject.toml", "setup_env.sh"])
def test_a_change_of_the_requirements_installs_again(checkout: FakeCheckout, changed: str) -> None:
    checkout.run("true")
    with (checkout.root / changed).open("a") as file:
        file.write("\n# changed\n")
    checkout.run("true")
    assert len(checkout.pip_calls()) == 4


def test_a_moved_checkout_is_set_up_again(checkout: FakeCheckout) -> None:
    checkout.run("true")
    checkout.root = checkout.root.rename(checkout.root.with_name("moved"))
    checkout.run("true")
    assert len(checkout.pip_calls()) == 4


def test_the_chosen_torch_is_remembered(checkout: FakeCheckout) -> None:
    checkout.run("true", TORCH_SPEC="torch==2.13.0+cpu")
    checkout.run("true")
    assert len(checkout.pip_calls()) == 2
    with (checkout.root / "pyproject.toml").open("a") as file:
        file.write("\n# changed\n")
    checkout.run("true")
    assert " torch==2.13.0+cpu " in checkout.pip_calls()[2]


def test_a_chosen_torch_that_does_not_exist_is_forgotten(checkout: FakeCheckout) -> None:
    assert checkout.run("true", TORCH_SPEC="torch==9", PIP_FAILS_ON="torch==9").returncode == 2
    assert checkout.run("true").returncode == 0
    assert " torch==2.13.0 " in checkout.pip_calls()[1]


def test_a_python_that_is_too_old_is_refused_in_one_sentence_and_nothing_is_created(
    checkout: FakeCheckout,
) -> None:
    checkout.python("3.9")
    result = checkout.run("true")
    assert result.returncode == 2
    assert "Python 3.11 to 3.14 is needed, but python3 is 3.9" in one_sentence(result.stderr)
    assert not (checkout.root / ".venv").exists()


def test_a_newer_python_is_found_beside_an_old_one(checkout: FakeCheckout) -> None:
    checkout.python("3.9")
    checkout.python("3.12", "python3.12")
    assert "creating .venv with Python 3.12" in checkout.run("true").stderr


def test_the_requested_python_replaces_another(checkout: FakeCheckout) -> None:
    checkout.run("true")
    wanted = checkout.python("3.12", "python3.12")
    result = checkout.run(
        ".venv/bin/python", "-c", "version_info", cwd=checkout.root, PYTHON=str(wanted)
    )
    assert result.stdout.strip() == "3.12"


def test_a_requested_python_that_does_not_run_is_refused_in_one_sentence(
    checkout: FakeCheckout,
) -> None:
    result = checkout.run("true", PYTHON="/no/python")
    assert result.returncode == 2
    assert "/no/python does not run" in one_sentence(result.stderr)


def test_for_a_python_without_ensurepip_the_missing_package_is_named(
    checkout: FakeCheckout,
) -> None:
    result = checkout.run("true", NO_ENSUREPIP="1")
    assert result.returncode == 2
    assert "python3.11-venv" in one_sentence(result.stderr)


@pytest.mark.parametrize(
    ("cuda", "has_gpu", "said"),
    [
        ("None", True, "this build of PyTorch does not use the GPU of this machine"),
        ("'13.0'", False, "no GPU was found"),
        ("None", False, None),
        ("'13.0'", True, None),
    ],
)
def test_a_build_of_torch_that_does_not_suit_the_machine_is_reported(
    checkout: FakeCheckout, cuda: str, has_gpu: bool, said: str | None
) -> None:
    checkout.gpu(has_gpu)
    *_, last = checkout.run("true", TORCH_CUDA=cuda).stderr.strip().splitlines()
    assert (said or "setup: ready: ") in last


def test_help_explains_the_builds_of_torch_and_creates_no_file(checkout: FakeCheckout) -> None:
    result = checkout.run("--help")
    assert "TORCH_SPEC" in result.stdout
    assert not (checkout.root / ".venv").exists()


@pytest.mark.parametrize(("argument", "code"), [("--no-such-option", 2), ("no-such-command", 127)])
def test_an_impossible_command_is_refused_in_one_sentence(
    checkout: FakeCheckout, argument: str, code: int
) -> None:
    result = checkout.run(argument)
    assert result.returncode == code
    assert argument in one_sentence(result.stderr)
