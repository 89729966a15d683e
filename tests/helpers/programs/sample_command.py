"""Run the command `sample` in this process, and return its output."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import Pipe, exit_code_of
from small_continuations import small_model
from small_gpt2s import saved_run

from gpt2_small import binding
from gpt2_small.generation import SamplingOptions, continuations, open_model
from gpt2_small.generation.continuation import Continuation

NEW_TOKENS = 12

SampleCommand = Callable[..., tuple[int, str, str]]


def make_run(folder: Path) -> Path:
    """Create a run with a character tokenizer."""
    return Path(saved_run(folder / "run", small_model()).folder)


def sample_command(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> SampleCommand:
    """Return a function that runs the command, and returns exit code, output and errors."""

    def command(
        *arguments: object, model: object = run_folder, stdin: Pipe | None = None
    ) -> tuple[int, str, str]:
        words = ["sample", "--max-new-tokens", NEW_TOKENS, "--seed", 3, "--model", model]
        monkeypatch.setattr(sys, "stdin", stdin or Pipe())
        capsys.readouterr()
        code = exit_code_of(monkeypatch, *words, *arguments)
        return code, *capsys.readouterr()

    return command


def expected(run_folder: Path, prompt: str, **options: Any) -> list[Continuation]:
    """Return the continuations that the command must print."""
    source = open_model(run_folder)
    wanted = SamplingOptions(**{"max_new_tokens": NEW_TOKENS, "seed": 3} | options)
    return continuations(binding.bound(), source, [prompt], wanted)


def report_of(sample: SampleCommand, *arguments: object, **settings: Any) -> dict[str, Any]:
    """Return the report that `--json -` prints."""
    code, text, _ = sample(*arguments, "--json", "-", **settings)
    assert code == 0
    report: dict[str, Any] = json.loads(text)
    return report
