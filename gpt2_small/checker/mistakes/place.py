"""Find and quote the line behind a failed check."""

from functools import lru_cache

from gpt2_small import notebooks
from gpt2_small.checker.exercise_set import GPT2, ExerciseSet
from gpt2_small.checker.mistakes.elsewhere import line_elsewhere
from gpt2_small.checker.mistakes.pointing import Location, locate
from gpt2_small.checker.sandbox.tracing import Trace
from gpt2_small.checker.verdict import Result


def place_of(
    result: Result,
    part: str,
    seed: int,
    trace: Trace | None,
    source: bytes,
    exercises: ExerciseSet = GPT2,
) -> Location | None:
    """Where what a failed check is about begins; None where that was not seen."""
    claims = exercises.claims(part)
    group = next((claim.group for claim in claims if claim.name == result.check), "")
    if exercises is not GPT2:  # only the fifteen parts are traced
        return None
    if group == "function":
        return None if trace is None else _located(part, seed, _Traced(trace))
    text = source.decode("utf-8", errors="replace")
    line = line_elsewhere(group, part, result.message, trace, text)
    return None if line is None else Location(None, "", line, "")


class _Traced:
    """A trace that is compared by identity, so that it is located once for all checks."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Traced) and self.trace is other.trace

    def __hash__(self) -> int:
        return id(self.trace)


@lru_cache(maxsize=1)
def _located(part: str, seed: int, traced: _Traced) -> Location | None:
    return locate(part, seed, traced.trace)


def quoted(location: Location, source: bytes) -> tuple[str, ...]:
    """The last right line and the first wrong one of a file, and in a sentence what they are."""
    lines = source.decode("utf-8", errors="replace").splitlines()
    shown = sorted({location.agrees or location.differs, location.differs})
    return (
        location.sentence(lambda line: notebooks.place(source, line)),
        *(f"{n:>6} | {lines[n - 1].strip()}" for n in shown if n <= len(lines)),
    )
