"""Test a small, fixed sample of tools/fuzz.py: random command lines and damaged files."""

import pytest
from fuzz import Fuzz
from fuzzing import cases
from fuzzing.cases import Case, failure_of
from fuzzing.commands import commands
from fuzzing.fixtures import make_fixtures

from gpt2_small import cli

pytestmark = pytest.mark.timeout(300)
COMMANDS, FILES = 7, 8
# Seconds until a server is interrupted; on a slow machine this may hit other commands too.
INTERRUPT_AFTER = 4.0


@pytest.fixture(scope="module")
def fuzz(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "fixtures").mkdir()
    make_fixtures(folder / "fixtures")
    return Fuzz(0, folder / "fixtures", folder, interrupt_after=INTERRUPT_AFTER)


def test_random_command_lines_end_with_one_sentence(fuzz):
    assert list(fuzz.failures(map(fuzz.command_case, range(COMMANDS)))) == []


def test_commands_on_damaged_files_end_with_one_sentence(fuzz):
    assert list(fuzz.failures(map(fuzz.file_case, range(FILES)))) == []


def test_the_fuzz_knows_every_command_of_the_program():
    assert set(commands()) == {
        command.name or command.callback.__name__ for command in cli.app.registered_commands
    }


def test_a_traceback_and_an_undocumented_exit_code_are_failures(fuzz, monkeypatch):
    class Ended:
        out, code = "", 1

        def __init__(self, err, code):
            self.err, self.code = err, code

        def poll(self):
            return self.code

    case = Case(["plan"], fuzz.fixtures, "a case")
    for err, code in (("Traceback (most recent call last):\nKeyError", 1), ("", -11), ("", 2)):
        monkeypatch.setattr(cases, "start", lambda _, err=err, code=code: Ended(err, code))
        assert failure_of(case) is not None
    monkeypatch.setattr(cases, "start", lambda _: Ended("error: a sentence", 2))
    assert failure_of(case) is None
