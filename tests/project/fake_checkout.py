"""Fake Python and pip in a checkout, to test setup_env.sh."""

import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from processes import ROOT

CANDIDATES = ("python3", "python3.14", "python3.13", "python3.12", "python3.11")
# Stands in for Python: answers setup_env.sh's questions and logs its calls of pip.
STAND_IN = r"""#!/usr/bin/env bash
version=@VERSION@
[ "$version" != none ] || exit 127
case "$1 ${2-}" in
    "-c "*version_info*) echo "$version" ;;
    "-c "*sys.version*) echo "stand-in $version" ;;
    "-c "*ensurepip*) [ -z "${NO_ENSUREPIP-}" ] ;;
    "-c "*importlib.metadata*) echo 2.13.0+cpu ;;
    "-m venv")
        torch=$3/lib/python$version/site-packages/torch
        mkdir -p "$3/bin" "$torch"
        cp "$0" "$3/bin/python"
        echo "cuda: Optional[str] = ${TORCH_CUDA-None}" >"$torch/version.py" ;;
    "-m pip")
        if [ "$3" = --version ]; then [ -z "${NO_PIP-}" ]; exit; fi
        shift 2
        echo "$* # index ${PIP_INDEX_URL-}" >>"$CALLS"
        if [ -n "${PIP_FAILS_ON-}" ] && [[ $* == *"$PIP_FAILS_ON"* ]]; then
            echo "ERROR: No matching distribution found for $PIP_FAILS_ON"
            exit 1
        fi
        echo "Installing collected packages: many"
        [ -z "${DISK_IS_FULL-}" ] || exit 1
        [ -z "${PIP_BEGUN-}" ] || {
            touch "$PIP_BEGUN"
            until [ -e "$PIP_BEGUN.over" ]; do sleep 0.02; done
        } ;;
    *) exit 1 ;;
esac
"""


@dataclass
class FakeCheckout:
    """A checkout with only the files that setup_env.sh reads."""

    root: Path
    pythons: Path
    calls: Path

    def python(self, version: str, name: str = "python3") -> Path:
        path = self.pythons / name
        path.write_text(STAND_IN.replace("@VERSION@", version))
        path.chmod(0o755)
        return path

    def tool(self, name: str) -> None:
        """Create a command that does nothing."""
        path = self.pythons / name
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)

    def gpu(self, is_there: bool) -> None:
        path = self.pythons / "nvidia-smi"
        path.write_text(f"#!/bin/sh\nexit {0 if is_there else 9}\n")
        path.chmod(0o755)

    def start(self, *arguments: str, cwd: Path | None = None, **env: str) -> subprocess.Popen[str]:
        names = ("TORCH_SPEC", "PYTHON", "PIP_INDEX_URL")
        environment = {key: value for key, value in os.environ.items() if key not in names}
        path = f"{self.pythons}{os.pathsep}{environment['PATH']}"
        return subprocess.Popen(
            [str(self.root / "setup_env.sh"), *arguments],
            env=environment | {"PATH": path, "CALLS": str(self.calls)} | env,
            cwd=cwd or self.pythons,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(
        self, *arguments: str, cwd: Path | None = None, **env: str
    ) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments, cwd=cwd, **env)
        out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def start_and_stay_in_pip(self, **env: str) -> subprocess.Popen[str]:
        """Start a set-up; return once its first pip runs, which waits for `let_pip_end`."""
        begun = self.calls.with_name("begun")
        env |= {"PIP_BEGUN": str(begun)}
        process = self.start("true", cwd=None, **env)
        while not begun.exists():
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)
        return process

    def let_pip_end(self) -> None:
        self.calls.with_name("begun.over").touch()

    def pip_calls(self) -> list[str]:
        return self.calls.read_text().splitlines() if self.calls.exists() else []


def new_checkout(folder: Path) -> FakeCheckout:
    """Return a checkout in a folder in which Python 3.11 is the only Python."""
    checkout = FakeCheckout(folder / "a checkout", folder / "pythons", folder / "calls")
    checkout.root.mkdir()
    checkout.pythons.mkdir()
    for name in ("setup_env.sh", "constraints.txt", "pyproject.toml"):
        shutil.copy2(ROOT / name, checkout.root / name)
    for name in CANDIDATES:
        checkout.python("none", name)
    checkout.python("3.11")
    for name in ("pytest", "ruff", "mypy"):
        checkout.tool(name)
    return checkout


def one_sentence(err: str) -> str:
    """Return the last line; assert that it is setup_env.sh's only own one."""
    *_, last = err.strip().splitlines()
    assert err.count("setup_env.sh: ") == 1
    assert last.startswith("setup_env.sh: ")
    return last
