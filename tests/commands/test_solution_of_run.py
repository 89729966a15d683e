"""Test that a run's stored solution runs only after confirmation."""

import hashlib
import json
from pathlib import Path

import pytest

from gpt2_small.commands.options import solution_of_run
from gpt2_small.commands.options.solution_of_run import bind_solution_of, stored_solution

TEXT = b"print('my own')\n"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Create the folder of a run that v.py trained."""
    record = {"solution": "/home/me/v.py", "solution_sha256": hashlib.sha256(TEXT).hexdigest()}
    (tmp_path / "config.json").write_text(json.dumps({"run": record}))
    (tmp_path / "solution.py").write_bytes(TEXT)
    return tmp_path


@pytest.fixture
def bound(monkeypatch: pytest.MonkeyPatch) -> list[Path | None]:
    """Return the bound solution."""
    found: list[Path | None] = []
    monkeypatch.setattr(solution_of_run, "bind_solution", found.append)
    monkeypatch.delenv("GPT2_SMALL_SOLUTION", raising=False)
    return found


def answers(monkeypatch: pytest.MonkeyPatch, answer: bool) -> list[str]:
    """Simulate a user at a terminal, and record the questions."""
    asked: list[str] = []

    def confirm(question: str, **_options: object) -> bool:
        asked.append(question)
        return answer

    monkeypatch.setattr(solution_of_run, "at_a_terminal", lambda: True)
    monkeypatch.setattr("typer.confirm", confirm)
    return asked


def test_the_stored_solution_runs_when_the_user_agrees(
    run: Path,
    bound: list[Path | None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = answers(monkeypatch, True)
    bind_solution_of(None, str(run))
    assert asked == ["Run it?"]
    assert bound == [run / "solution.py"]
    assert "was trained with /home/me/v.py" in capsys.readouterr().err


def test_without_agreement_the_stored_solution_does_not_run(
    run: Path, bound: list[Path | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(monkeypatch, False)
    bind_solution_of(None, str(run))
    assert bound == [None]


def test_without_a_terminal_there_is_no_question(run: Path, bound: list[Path | None]) -> None:
    bind_solution_of(None, str(run))
    assert bound == [None]


def test_a_given_solution_is_used_without_a_question(
    run: Path, bound: list[Path | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = answers(monkeypatch, True)
    bind_solution_of(Path("w.py"), str(run))
    assert (asked, bound) == ([], [Path("w.py")])


def test_a_stored_solution_with_another_hash_is_not_offered(run: Path) -> None:
    (run / "solution.py").write_text("print('another')\n")
    assert stored_solution(run) is None


@pytest.mark.parametrize("content", ["{", "[]", '{"run": 3}', '{"run": {"solution": "reference"}}'])
def test_for_a_run_of_the_reference_or_a_damaged_one_there_is_no_question(
    run: Path, content: str
) -> None:
    (run / "config.json").write_text(content)
    assert stored_solution(run) is None
