"""Share one warm checker between tests, and make files to check."""

import atexit
from functools import cache
from pathlib import Path

import pytest

from gpt2_small.checker.mistakes.mistake import Mistake, edited_text, reference_text
from gpt2_small.checker.sandbox.client import Checker
from gpt2_small.checker.sandbox.task import Limits
from gpt2_small.checker.verdict import Verdict

SECONDS = 1.5


@cache
def warm_checker() -> Checker:
    """A checker with short limits, so that what hangs costs little."""
    limits = Limits(seconds=SECONDS, loading_seconds=3.0, wall_seconds=12.0, memory=1 << 30)
    checker = Checker(limits)
    atexit.register(checker.close)
    return checker


@pytest.fixture
def checker() -> Checker:
    return warm_checker()


def check_text(folder: Path, text: str, *parts: str, **options) -> Verdict:
    """The verdict on a file with this text."""
    path = folder / "my_gpt2.py"
    path.write_text(text)
    return warm_checker().check(path, parts or None, **options)


def reference_with(*edits: tuple[str, str]) -> str:
    """The reference's text with each old piece, which stands in it once, replaced."""
    text = reference_text()
    for old, new in edits:
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in the reference"
        text = text.replace(old, new)
    return text


def wrong_text(*mistakes: Mistake) -> str:
    return edited_text(*mistakes)


def line_of(text: str, piece: str) -> int:
    """The line in which a piece of text begins."""
    assert text.count(piece) == 1
    return text[: text.index(piece)].count("\n") + 1
