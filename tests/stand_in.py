"""A stand-in for Python and pip, and a checkout in which setup_env.sh meets it."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

# Answers what setup_env.sh asks of Python and writes down what it asks of pip.
STAND_IN = r"""#!/usr/bin/env bash
version=@VERSION@
[ "$version" != none ] || exit 127
case "$1 ${2-}" in
    "-c "*version_info*) echo "$version" ;;
    "-c "*sys.version*) echo "stand-in $version" ;;
    "-c "*ensurepip*) [ -z "${NO_ENSUREPIP-}" ] ;;
    "-c "*importlib.metadata*) echo 2.13.0+cpu ;;
    "-m venv") mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
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
        [ -z "${PIP_BEGUN-}" ] || { touch "$PIP_BEGUN"; sleep "$PIP_TAKES"; } ;;
    *) exit 1 ;;
esac
"""


@dataclass
class House:
    """A checkout with nothing but what setup_env.sh reads."""

    root: Path
    pythons: Path
    calls: Path

    def python(self, version: str, name: str = "python3") -> Path:
        path = self.pythons / name
        path.write_text(STAND_IN.replace("@VERSION@", version))
        path.chmod(0o755)
        return path

    def start(self, *arguments: str, cwd: Path | None = None, **env: str) -> subprocess.Popen[str]:
        names = ("TORCH_SPEC", "PYTHON", "PIP_INDEX_URL")
        kept = {key: value for key, value in os.environ.items() if key not in names}
        path = f"{self.pythons}{os.pathsep}{kept['PATH']}"
        return subprocess.Popen(
            [str(self.root / "setup_env.sh"), *arguments],
            env=kept | {"PATH": path, "CALLS": str(self.calls)} | env,
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

    def pip_calls(self) -> list[str]:
        return self.calls.read_text().splitlines() if self.calls.exists() else []
