"""Run `gpt2-small` in this process and capture what it prints."""

import io
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from gpt2_small import binding, cli, entry_point


class Pipe(io.TextIOWrapper):
    """Standard input with these bytes."""

    def __init__(self, data: bytes = b"") -> None:
        super().__init__(io.BytesIO(data))


class Terminal(Pipe):
    """Standard input that is a terminal."""

    def isatty(self) -> bool:
        return True


@dataclass
class Ran:
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str


def exit_code_of(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """Run `gpt2-small` in this process, and return its exit code."""
    monkeypatch.setattr(sys, "argv", ["gpt2-small", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        entry_point.run_command(cli.app)
    return int(ended.value.code or 0)


@pytest.fixture(name="run")
def run_in_an_empty_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Ran]:
    """Return a function that runs `gpt2-small` in an empty folder, 80 columns wide, unbound."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv(binding.SOLUTION_VARIABLE, raising=False)
    monkeypatch.delitem(sys.modules, binding.BOUND_MODULE, raising=False)

    def run(*arguments: str) -> Ran:
        code = exit_code_of(monkeypatch, *arguments)
        return Ran(code, *capsys.readouterr())

    return run
