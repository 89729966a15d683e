"""Test the README's commands and code."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from processes import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
SETUP = "./setup_env.sh "
FEWER_STEPS = ["--max-steps", "2", "--batch-size", "2", "--judge", "10"]
TRAIN = "python demos/train_demo.py"
TESTS = "pytest"

# Flags that shorten commands which would take minutes.
QUICKLY = {
    "python demos/train_demo.py --data README.md": FEWER_STEPS,
    "gpt2-small train --preset shakespeare-cpu --data shards --out runs/bytes": FEWER_STEPS[:4],
    "gpt2-small train --out runs/bytes --resume --max-steps 3000": ["--max-steps", "3"],
    "python demos/train_demo.py --solution my_gpt2.py": ["--data", "README.md", *FEWER_STEPS],
    "pytest --solution my_gpt2.py": ["tests/test_layer_norm.py"],
}


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


BLOCKS = [block.splitlines() for block in blocks("sh")]
COMMANDS = [line for block in BLOCKS for line in block]

# The clone's own run is created by the first command; this is the other.
RUN_ELSEWHERE = (TRAIN, TESTS)


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """Copy a clone's files, with a run and a finished file where the commands expect them."""
    folder = tmp_path_factory.mktemp("clone")
    for name in ("demos", "tests", "gpt2_small", "lessons"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("solution.py", "README.md", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    result = run_in(folder, [*shlex.split(TRAIN), *FEWER_STEPS])
    assert (result.returncode, result.stderr) == (0, "")
    return folder


def run_in(clone: Path, command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a command with the clone's own package and this Python's environment."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(clone), "COLUMNS": "80"}
    return subprocess.run(
        command,
        cwd=clone,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_every_command_runs_through_setup_env():
    assert COMMANDS
    assert all(command.startswith(SETUP) for command in COMMANDS)
    assert {SETUP + TRAIN, SETUP + TESTS} <= set(COMMANDS)


@pytest.mark.slow
@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block[0].removeprefix(SETUP))
def test_the_commands_of_the_readme_run(clone, block):
    for line in block:
        command = line.removeprefix(SETUP)
        if command not in RUN_ELSEWHERE:
            run_as_shown(clone, command)


def run_as_shown(clone: Path, command: str) -> None:
    mine = clone / "my_gpt2.py"
    mine.unlink(missing_ok=True)
    if "start" not in command:
        shutil.copy(clone / "solution.py", mine)
    shutil.rmtree(clone / "exported", ignore_errors=True)
    result = run_in(clone, [*shlex.split(command), *QUICKLY.get(command, [])])
    assert result.returncode == 0, result.stdout + result.stderr
    assert not re.search("Traceback|Warning|error:", result.stderr), result.stderr


@pytest.mark.slow
def test_the_code_of_the_readme_runs(clone):
    shutil.copy(clone / "solution.py", clone / "my_gpt2.py")
    for code in blocks("python"):
        result = run_in(clone, [sys.executable, "-W", "error", "-c", code])
        assert (result.returncode, result.stderr) == (0, "")


def test_every_link_of_the_readme_leads_to_a_file():
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_tests_named_in_the_readme_exist():
    named = set(re.findall(r"`(tests/[\w/]+\.py)`", README))
    assert len(named) > 15
    assert all((ROOT / name).exists() for name in named)
