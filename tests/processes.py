"""Python in another process, where nothing is bound yet."""

import os
import subprocess
import sys
from pathlib import Path

from gpt2_small import binding

ROOT = binding.reference_path().parent


def run_python(
    *arguments: str | Path, cwd: Path, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run Python with these arguments and environment variables, and no solution chosen."""
    kept = {key: value for key, value in os.environ.items() if key != binding.SOLUTION_VARIABLE}
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env=kept | variables,
        capture_output=True,
        text=True,
        timeout=300,
    )


def printed_by(program: str, cwd: Path, **variables: str) -> str:
    """What a program prints; it must end well and without a warning."""
    result = run_python("-c", program, cwd=cwd, **variables)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return result.stdout.strip()
