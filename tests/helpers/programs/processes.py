"""Run Python in another process, and inspect and signal processes that may have exited."""

import os
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from gpt2_small import binding

ROOT = binding.reference_path().parent


def run_python(
    *arguments: str | Path, cwd: Path, stdin: str = "", **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run Python with these arguments and environment variables, and no solution chosen.

    The process is a fork of one that has loaded torch (`forked.py`).
    """
    from forked import the_forks

    fork = the_forks().start_python(*arguments, cwd=cwd, stdin=stdin, **variables)
    return subprocess.CompletedProcess(arguments, fork.wait(), fork.out, fork.err)


def run_fresh_python(
    *arguments: str | Path, cwd: Path, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a newly started Python, for tests of what it imports and from where."""
    inherited = {
        key: value for key, value in os.environ.items() if key != binding.SOLUTION_VARIABLE
    }
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env=inherited | variables,
        capture_output=True,
        text=True,
        timeout=300,
    )


def paths_of_tests() -> list[str]:
    """Return the folders of tests and helpers on this process's module search path."""
    return [path for path in sys.path if Path(path).is_relative_to(ROOT / "tests")]


def printed_by(program: str, cwd: Path, *, fresh: bool = False, **variables: str) -> str:
    """Return a program's output; it must exit with 0 and without a warning."""
    run = run_fresh_python if fresh else run_python
    result = run("-c", program, cwd=cwd, **variables)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return result.stdout.strip()


def children_of(parent: int) -> list[int]:
    """Return a process's child processes in order; none if it has exited (Linux)."""
    try:
        listed = Path(f"/proc/{parent}/task/{parent}/children").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [int(pid) for pid in listed.split()]


def is_running(pid: int) -> bool:
    """Whether a process is running, and not a zombie (Linux)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def send_all(pids: Iterable[int], number: int) -> None:
    """Send a signal to processes, ignoring those that have exited."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
