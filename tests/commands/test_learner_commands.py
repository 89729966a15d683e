"""Test `gpt2-small start`, `hint`, `show`, `doctor`, and common behaviour of all subcommands."""

import json
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
import typer
from command_line import Ran, run_in_an_empty_folder

from gpt2_small import binding, cli
from gpt2_small.checker.learner import progress
from gpt2_small.checker.learner import skeleton as exercises
from gpt2_small.checker.learner.hints import GUIDES
from gpt2_small.checker.sandbox import client as worker
from gpt2_small.checker.verdict import PartReport, Result, Verdict

run = run_in_an_empty_folder

COMMANDS = sorted(typer.main.get_command(cli.app).commands)  # type: ignore[attr-defined]


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make every check of a file end with the given status."""

    def checked(status: str, *mistakes: str, error: str | None = None) -> None:
        def check(self: worker.Checker, path: Path, parts: list[str], **_: object) -> Verdict:
            results = [Result(part, "A claim", status) for part in parts]
            reports = {part: PartReport(mistakes) for part in parts}
            return Verdict(str(path), "0" * 64, results, reports, error)

        monkeypatch.setattr(worker.Checker, "check", check)

    return checked


def test_start_writes_the_file_and_prints_the_next_command(run: Callable[..., Ran]) -> None:
    ran = run("start")
    assert ran.code == 0
    assert Path("my_gpt2.py").read_text() == exercises.skeleton()
    assert "gpt2-small watch" in ran.out
    assert ".my_gpt2.progress.json" in ran.out


def test_start_never_changes_an_existing_file(run: Callable[..., Ran]) -> None:
    Path("my_gpt2.py").write_text("mine")
    ran = run("start")
    assert ran.code == 2
    assert "my_gpt2.py exists already" in ran.err
    assert "gpt2-small start my_gpt2_2.py" in ran.err
    assert Path("my_gpt2.py").read_text() == "mine"


def test_start_does_not_write_through_a_dangling_link(run: Callable[..., Ran]) -> None:
    Path("my_gpt2.py").symlink_to("nowhere.py")
    assert run("start").code == 2
    assert not Path("nowhere.py").exists()


def test_start_writes_a_lessons_notebook_beside_its_file(run: Callable[..., Ran]) -> None:
    ran = run("start", "mine.py", "--lesson", "bigram")
    assert "Created 01_bigram.ipynb" in ran.out
    code = "".join(
        line
        for cell in json.loads(Path("01_bigram.ipynb").read_text())["cells"]
        for line in cell["source"]
    )
    assert 'Path("mine.py")' in code
    assert "my_bigram" not in code


def test_start_leaves_an_existing_notebook_unchanged(run: Callable[..., Ran]) -> None:
    Path("01_bigram.ipynb").write_text("mine")
    ran = run("start", "mine.py", "--lesson", "bigram")
    assert ran.code == 0
    assert "01_bigram.ipynb exists already and is not overwritten" in ran.out
    assert Path("01_bigram.ipynb").read_text() == "mine"


def test_start_without_a_lesson_writes_no_notebook(run: Callable[..., Ran]) -> None:
    run("start")
    assert [path.name for path in Path().iterdir()] == ["my_gpt2.py"]


def test_a_skeleton_of_functions_does_not_mention_classes_and_taps(run: Callable[..., Ran]) -> None:
    run("start", "mine.py", "--lesson", "bigram")
    assert "tap" not in Path("mine.py").read_text()
    assert "__init__" not in Path("mine.py").read_text()


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("mine", "did you mean mine.py?"), ("no/folder/mine.py", "there is no folder no/folder")],
)
def test_start_refuses_an_unusable_file_name(
    run: Callable[..., Ran], name: str, sentence: str
) -> None:
    ran = run("start", name)
    assert ran.code == 2
    assert sentence in ran.err


def test_hint_prints_one_hint_after_the_other_and_counts_them(
    run: Callable[..., Ran], checked: Callable[..., None]
) -> None:
    checked("not_written")
    run("start")
    given = [run("hint", "mlp").out for _ in range(3)]
    for number, (out, hint) in enumerate(zip(given, GUIDES["MLP"].hints, strict=True), start=1):
        assert f"MLP, hint {number} of 3" in out
        assert hint.split()[0] in out
    assert "gpt2-small show MLP" in given[-1]
    assert progress.read(Path("my_gpt2.py")).hints == {"MLP": 3}


def test_hint_explains_the_named_mistake(
    run: Callable[..., Ran], checked: Callable[..., None]
) -> None:
    checked("failed", "layer-norm-no-epsilon")
    run("start")
    assert "numbers are all equal" in run("hint", "LayerNorm").out


def test_hint_prints_no_hint_for_a_passed_part(
    run: Callable[..., Ran], checked: Callable[..., None]
) -> None:
    checked("passed")
    run("start")
    assert "MLP holds" in run("hint", "MLP").out
    assert not progress.path_for(Path("my_gpt2.py")).exists()


def test_hint_reports_a_file_that_cannot_run(
    run: Callable[..., Ran], checked: Callable[..., None]
) -> None:
    checked("waiting", error="my_gpt2.py, line 3: invalid syntax")
    run("start")
    ran = run("hint", "MLP")
    assert (ran.code, ran.err) == (2, "error: my_gpt2.py, line 3: invalid syntax\n")


@pytest.mark.parametrize("command", ["hint", "show"])
def test_a_mistyped_part_gets_a_suggestion(run: Callable[..., Ran], command: str) -> None:
    run("start")
    ran = run(command, "layernrom")
    assert ran.code == 2
    assert "did you mean LayerNorm?" in ran.err


def test_hint_without_a_file_prints_the_command_that_creates_one(run: Callable[..., Ran]) -> None:
    ran = run("hint", "MLP")
    assert ran.code == 2
    assert "gpt2-small start" in ran.err


def test_the_environment_variable_chooses_the_file_for_hint(
    run: Callable[..., Ran], checked: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    checked("not_written")
    run("start", "other.py")
    monkeypatch.setenv(binding.SOLUTION_VARIABLE, "other.py")
    run("hint", "MLP")
    assert progress.path_for(Path("other.py")).exists()


def test_show_asks_no_confirmation_for_a_passed_part(
    run: Callable[..., Ran], checked: Callable[..., None]
) -> None:
    checked("passed")
    run("start")
    ran = run("show", "Embedding")
    assert ran.code == 0
    assert "return self.W_E[tokens]" in ran.out


def test_show_without_a_terminal_refuses_an_unfinished_part(
    run: Callable[..., Ran], checked: Callable[..., None]
) -> None:
    checked("failed")
    run("start")
    ran = run("show", "Embedding")
    assert ran.code == 2
    assert "gpt2-small show Embedding --yes" in ran.err
    assert "W_E" not in ran.out


@pytest.mark.parametrize(("answer", "shown"), [("y", True), ("n", False), ("", False)])
def test_show_at_a_terminal_prints_the_code_after_confirmation(
    run: Callable[..., Ran],
    checked: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    shown: bool,
) -> None:
    checked("failed")
    run("start")
    keyboard = StringIO(f"{answer}\n")
    monkeypatch.setattr(keyboard, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", keyboard)
    ran = run("show", "Embedding")
    assert ("W_E[tokens]" in ran.out) == shown
    assert ran.code == (0 if shown else 1)


def test_show_yes_asks_no_confirmation_and_is_recorded(run: Callable[..., Ran]) -> None:
    run("start")
    assert "self.W_E[tokens]" in run("show", "Embedding", "--yes").out
    assert progress.read(Path("my_gpt2.py")).shown == ["Embedding"]


# Commands with many options need more than a screen.
MOST_ROWS = {"sample": 34, "prepare": 34, "train": 30}


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_subcommand_fits_a_terminal_and_has_an_example(
    run: Callable[..., Ran], command: str
) -> None:
    lines = run(command, "--help").out.splitlines()
    rows = sum(max(1, -(-len(line.rstrip()) // 80)) for line in lines)
    assert rows <= MOST_ROWS.get(command, 24)
    assert any(f"Example: gpt2-small {command}" in line for line in lines)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_mistyped_subcommand_gets_a_suggestion(run: Callable[..., Ran], command: str) -> None:
    ran = run(command[:-1] + "x" if len(command) > 4 else f"{command}x")
    assert ran.code == 2
    assert f"Did you mean '{command}'?" in ran.err


def test_a_mistake_in_a_learners_file_prints_no_traceback(run: Callable[..., Ran]) -> None:
    ran = run("watch", "no_such_file.py")
    assert ran.code == 2
    assert ran.err.startswith("error: there is no file no_such_file.py")
