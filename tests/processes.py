"""Run Python in another process, where nothing is bound yet."""

import os
import subprocess
import sys
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
    """The same in a Python that starts from nothing, for tests of what it loads and from where."""
    kept = {key: value for key, value in os.environ.items() if key != binding.SOLUTION_VARIABLE}
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env=kept | variables,
        capture_output=True,
        text=True,
        timeout=300,
    )


def printed_by(program: str, cwd: Path, *, fresh: bool = False, **variables: str) -> str:
    """What a program prints; it must end well and without a warning."""
    run = run_fresh_python if fresh else run_python
    result = run("-c", program, cwd=cwd, **variables)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return result.stdout.strip()
