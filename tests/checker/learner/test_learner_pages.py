"""Test the pages for learners and instructors against the commands' output."""

import re

import learner_screens
import pytest
import typer
from processes import ROOT

from gpt2_small import cli
from gpt2_small.checker.learner import skeleton as exercises
from gpt2_small.checker.mistakes import mistake
from gpt2_small.checker.parts import PARTS

DOCS = ROOT / "docs"
LEARNERS, INSTRUCTORS = ((DOCS / name).read_text() for name in ("learners.md", "instructors.md"))
COMMANDS = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]


def screens(page: str) -> list[str]:
    return re.findall(r"```text\n(.*?)```", page, flags=re.DOTALL)


def test_the_skeleton_on_the_page_equals_the_one_that_start_writes() -> None:
    (shown,) = re.findall(r"```python\n(.*?)```", LEARNERS, flags=re.DOTALL)
    assert shown in exercises.skeleton()


def test_the_page_shows_at_least_eight_known_mistakes_two_of_them_at_once() -> None:
    named = [re.sub(r"\s+", " ", m) for m in re.findall(r"Mistake: ([\w\s-]+?)\.\s", LEARNERS)]
    ids = {one for names in named for one in names.split(" and ")}
    assert len(ids) >= 8
    assert any(" and " in names for names in named)
    for one in ids:
        assert mistake.find(one).component in PARTS


def test_no_screen_is_larger_than_the_terminal() -> None:
    assert screens(LEARNERS)
    for screen in screens(LEARNERS):
        lines = screen.splitlines()
        assert len(lines) <= 24
        assert max(map(len, lines)) <= 80


def test_the_page_ends_with_all_parts_done() -> None:
    assert any("15 of 15 parts done" in screen for screen in screens(LEARNERS))
    assert "You have written GPT-2." in LEARNERS


@pytest.mark.parametrize("page", [LEARNERS, INSTRUCTORS], ids=["learners", "instructors"])
def test_every_command_and_option_on_a_page_exists(page: str) -> None:
    calls = re.findall(r"gpt2-small ([a-z]+)((?:[^\n`]|\\\n)*)", page)
    seen = [(name, options) for name, options in calls if name in COMMANDS or "--" in options]
    assert len(seen) > 5
    for name, rest in seen:
        known = {option for parameter in COMMANDS[name].params for option in parameter.opts}
        assert set(re.findall(r"--[a-z]+", rest.split("#")[0])) <= known | {"--help"}


@pytest.mark.slow
def test_the_screens_on_both_pages_equal_the_programs() -> None:
    for path, text in learner_screens.pages().items():
        assert text == path.read_text(encoding="utf-8"), path.name
