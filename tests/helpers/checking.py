"""Share one warm checker between tests, and make files to check."""

import atexit
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from forked import nothing_forked

from gpt2_small.checker.mistakes.edited_reference import edited_text, reference_text
from gpt2_small.checker.mistakes.mistake import Mistake
from gpt2_small.checker.sandbox.client import Checker
from gpt2_small.checker.sandbox.task import Limits
from gpt2_small.checker.verdict import Verdict

LIMITS = Limits(seconds=4.5, loading_seconds=9.0, memory=1 << 30)
"""For files that terminate: many times a claim's duration, so that slow machines pass too."""
SHORT = replace(LIMITS, seconds=0.3, loading_seconds=0.6)
"""For files that never terminate, where no other result matters."""


@cache
def warm_checker() -> Checker:
    """Return a checker with short limits; its server is forked from this process's `the_forks`."""
    checker = Checker(LIMITS)
    atexit.register(checker.close)
    return checker


class StartedChecker(Checker):
    """A checker whose server is a new process and holds no test's data, for tests of attacks."""

    def _started(self, parts: Sequence[str]) -> "subprocess.Popen[bytes]":
        with nothing_forked():
            return super()._started(parts)


@cache
def started_checker() -> Checker:
    """Return a checker with short limits and a newly started server process."""
    checker = StartedChecker(LIMITS)
    atexit.register(checker.close)
    return checker


@pytest.fixture
def checker() -> Checker:
    return warm_checker()


def check_text(
    folder: Path,
    text: str,
    *parts: str,
    checker: Checker | None = None,
    limits: Limits = LIMITS,
    **options: Any,
) -> Verdict:
    """Return the verdict on a file with this text."""
    path = folder / "my_gpt2.py"
    path.write_text(text)
    checker = checker or warm_checker()
    checker.limits = limits
    return checker.check(path, parts or None, **options)


def reference_with(*edits: tuple[str, str]) -> str:
    """Return the reference's text with each old piece (found exactly once) replaced."""
    text = reference_text()
    for old, new in edits:
        assert text.count(old) == 1, f"{old!r} occurs {text.count(old)} times in the reference"
        text = text.replace(old, new)
    return text


def wrong_text(*mistakes: Mistake) -> str:
    return edited_text(*mistakes)


def line_of(text: str, piece: str) -> int:
    """Return the number of the line in which a piece of text begins."""
    assert text.count(piece) == 1
    return text[: text.index(piece)].count("\n") + 1
