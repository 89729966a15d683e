"""Test the ends of commands: one sentence and the exit code."""

import types

import pytest
import typer

from gpt2_small import binding, cli, entry_point
from gpt2_small.entry_point import run_command
from gpt2_small.errors import UserError


def ending_of(source, filename, capsys, monkeypatch):
    """Return exit code and standard error of a command with this code."""
    monkeypatch.setattr("sys.argv", ["command"])
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(lambda: exec(compile(source, filename, "exec"), {"UserError": UserError}))
    with pytest.raises(SystemExit) as ended:
        run_command(app)
    return ended.value.code, capsys.readouterr().err


def test_a_user_error_prints_its_sentence_and_exits_with_2(capsys, monkeypatch):
    ending = ending_of("raise UserError('no; yes')", "x.py", capsys, monkeypatch)
    assert ending == (2, "error: no; yes\n")


def test_an_unreadable_file_is_reported_in_one_sentence_with_exit_code_2(capsys, monkeypatch):
    source = "raise PermissionError(13, 'Permission denied', 'runs/hers')"
    ending = ending_of(source, "x.py", capsys, monkeypatch)
    sentence = "runs/hers cannot be used (Permission denied); change who may read and write it"
    assert ending == (2, f"error: {sentence}\n")


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [("'sample is not written yet'", "sample is not written yet"), ("", "this is not written yet")],
)
def test_an_unwritten_part_is_reported_with_its_line_and_exit_code_1(
    arguments, printed, capsys, monkeypatch
):
    path = binding.bound().__file__
    source = f"\nraise NotImplementedError({arguments})"
    code, error = ending_of(source, path, capsys, monkeypatch)
    assert (code, error) == (1, f"error: {path}, line 2: {printed}\n")


def test_a_not_implemented_error_of_other_code_keeps_its_traceback(capsys, monkeypatch):
    with pytest.raises(NotImplementedError):
        ending_of("raise NotImplementedError", "elsewhere.py", capsys, monkeypatch)


def test_of_several_processes_only_the_first_prints_the_error(capsys, monkeypatch):
    waited = []
    monkeypatch.setattr(entry_point.time, "sleep", waited.append)
    for rank, expected in (("0", (2, "error: no\n")), ("1", (2, ""))):
        monkeypatch.setenv("RANK", rank)
        assert ending_of("raise UserError('no')", "x.py", capsys, monkeypatch) == expected
    assert waited == [entry_point.SECONDS_TO_PRINT]


def test_at_a_terminal_an_error_is_wrapped_between_words(capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    sentence = "my_gpt2.py exists already; choose another: gpt2-small start my_gpt2_second-try.py"
    _, printed = ending_of(f"raise UserError({sentence!r})", "x.py", capsys, monkeypatch)
    assert len(printed.splitlines()) == 3
    assert max(map(len, printed.splitlines())) <= 40
    assert " ".join(printed.split()) == f"error: {sentence}"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sample", "--max-new-tokens", "ten"], "'--max-new-tokens': 'ten' is not an integer"),
        (["sample", "--temperature", "hot"], "'--temperature': 'hot' is not a number"),
        (["plan", "--gpus", "2.5"], "'--gpus': '2.5' is not an integer"),
        (["prepare", "x", "--max-documents", "0"], "'--max-documents': 0 is not at least 1"),
        (["app", "--port", "70000"], "'--port': 70000 is not at most 65535"),
    ],
)
def test_a_number_out_of_range_or_not_a_number_is_refused_with_its_value(
    arguments, message, capsys, monkeypatch
):
    monkeypatch.setattr("sys.argv", ["gpt2-small", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def _end_in_own_file(source, path, monkeypatch, capsys):
    """Return exit code and standard error of a command that calls the bound file's code."""
    solution = types.ModuleType("mine")
    solution.__file__ = str(path)
    monkeypatch.setattr(binding, "bound", lambda: solution)
    return ending_of(source, str(path), capsys, monkeypatch)


def test_an_error_in_the_users_own_solution_is_one_sentence_with_its_line(
    tmp_path, capsys, monkeypatch
):
    path = tmp_path / "mine.py"
    code, printed = _end_in_own_file("\n\n1 / 0", path, monkeypatch, capsys)
    assert code == 1
    assert printed == (
        f"error: {path}, line 3, in <module>: ZeroDivisionError: division by zero; "
        f"gpt2-small check {path} judges its parts\n"
    )


def test_an_error_in_the_kit_that_the_users_solution_called_keeps_its_traceback(
    tmp_path, capsys, monkeypatch
):
    source = "from gpt2_small import binding\nbinding.solution_path(None)"
    with pytest.raises(AttributeError):
        _end_in_own_file(source, tmp_path / "mine.py", monkeypatch, capsys)
