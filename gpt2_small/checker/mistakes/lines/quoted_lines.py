"""Quote lines of a file: the last right one and the first wrong one, or one that raised."""

from collections.abc import Iterable

from gpt2_small import notebooks
from gpt2_small.checker.claims.judging.runner import JudgedClaim
from gpt2_small.checker.claims.observing.observation import TAP
from gpt2_small.checker.mistakes.lines.location import Location


def quoted(location: Location, source: bytes) -> tuple[str, ...]:
    """Quote the last right line and the first wrong one, with a sentence about them."""
    at = location.differs
    shown = sorted({location.agrees or at, at, location.called or at})
    return (
        location.sentence(lambda line: notebooks.place(source, line)),
        *(_with_number(source, line) for line in shown if line <= len(source.splitlines())),
    )


def _with_number(source: bytes, line: int) -> str:
    """A line of a file with its number; of a notebook, with the number in its cell."""
    text = source.splitlines()[line - 1].decode("utf-8", errors="replace").strip()
    return f"{notebooks.line_in_cell(source, line):>6} | {text}"


def quoted_error(judged: Iterable[JudgedClaim], source: bytes) -> tuple[str, ...]:
    """Quote the line at which the first failed claim was interrupted by an exception."""
    failed = (one for one in judged if one.result.status == "failed")
    first = next(failed, None)
    if first is None or first.result.line is None or TAP + "words" not in first.seen:
        return ()
    line = first.result.line
    if line > len(source.splitlines()) or _is_definition(source, line):
        return ()
    said = f"The error is raised in {notebooks.place(source, line)}."
    return said, _with_number(source, line)


def _is_definition(source: bytes, line: int) -> bool:
    """Whether a line begins a class or function, where an error of the caller is placed."""
    return source.splitlines()[line - 1].split()[:1] in ([b"def"], [b"class"])
