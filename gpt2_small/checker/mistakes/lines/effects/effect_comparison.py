"""Compare a function's effects with the reference's, kind by kind."""

import ast
import math
from collections.abc import Sequence

from gpt2_small.checker.claims.judging.tolerances import EFFECTS
from gpt2_small.checker.difference_messages import are_several, told_apart
from gpt2_small.checker.mistakes.lines.location import Location
from gpt2_small.checker.sandbox.tracing import Effect, Trace
from gpt2_small.checker.sandbox.tracing.line_watcher import NAMED
from gpt2_small.checker.sandbox.tracing.trace import NOT_GIVEN, OF_SAMPLE


def placed_at(line: int, said: str, suggests: str = "") -> Location | None:
    """A location with a wrong effect, and the mistake with this effect if there is one."""
    return Location(None, "", line, said, None, True, suggests) if line else None


def of_kind(trace: Trace, what: str) -> list[Effect]:
    """The effects of a kind in order."""
    return [effect for effect in trace.effects if effect.what == what]


def close(a: Sequence[float], b: Sequence[float]) -> bool:
    """Whether two lists of numbers are equal within rounding."""
    return len(a) == len(b) and all(
        x == y or (math.isnan(x) and math.isnan(y)) or abs(x - y) <= EFFECTS * max(1.0, abs(y))
        for x, y in zip(a, b, strict=True)
    )


def first_unlike(trace: Trace, right: Trace, what: str) -> tuple[Effect, Effect | None] | None:
    """The first effect of a kind that differs, with the reference's."""
    wanted = of_kind(right, what)
    for index, mine in enumerate(of_kind(trace, what)):
        theirs = wanted[index] if index < len(wanted) else None
        if theirs is None or not close(mine.numbers, theirs.numbers):
            return mine, theirs
    return None


def unlike_facts(
    trace: Trace, right: Trace, facts: Sequence[str], built_at: int | None = None
) -> Location | None:
    """A sentence about the first of these numbers that differs.

    built_at: the line that puts the numbers into a result, if it is the only one.
    """
    for what in facts:
        found = first_unlike(trace, right, what)
        if found is not None:
            mine, theirs = found
            other = _other_fact(right, mine, facts)
            said = f"{what} {'are' if are_several(what) else 'is'} {compared(mine, theirs)}"
            line = _named_before(trace, mine, is_right=bool(other)) or (
                built_at or mine.line if other else mine.line
            )
            also = f"; {in_words(mine)} is {other}" if other else ""
            return placed_at(line, said + also)
    return None


def _other_fact(right: Trace, effect: Effect, facts: Sequence[str]) -> str:
    """The other fact, of the reference, that has an effect's number; empty if there is none."""
    if effect.numbers[0] in _COMMON:
        return ""
    return next(
        (
            what
            for what in facts
            if what != effect.what
            and any(close(effect.numbers, one.numbers) for one in of_kind(right, what))
        ),
        "",
    )


# Numbers that several variables may have by chance.
_COMMON = (0.0, 1.0)


def _named_before(trace: Trace, effect: Effect, *, is_right: bool) -> int | None:
    """The line that assigned an effect's number to a variable.

    is_right: whether the number is right for another fact; then only a variable named like this
        effect's fact counts.
    """
    if effect.numbers[0] in _COMMON:
        return None
    for other in trace.effects[: trace.effects.index(effect)]:
        name = other.what.removeprefix(NAMED)
        is_named = other.what.startswith(NAMED) and close(other.numbers, effect.numbers)
        if is_named and (not is_right or name in effect.what.split()):
            return other.line
    return None


def in_words(effect: Effect) -> str:
    """Format an effect's numbers; an option that sample is not given is None."""
    if effect.what.endswith(OF_SAMPLE) and effect.numbers == (NOT_GIVEN,):
        return "None"
    return ", ".join(f"{number:.5g}" for number in effect.numbers)


def compared(effect: Effect, wanted: Effect | None) -> str:
    """An effect's numbers, and those of the reference: `0.05 instead of 8.5358`."""
    if wanted is None:
        return in_words(effect)
    if len(effect.numbers) != len(wanted.numbers) or in_words(effect) == "None":
        return f"{in_words(effect)} instead of {in_words(wanted)}"
    pairs = zip(effect.numbers, wanted.numbers, strict=True)
    sides = zip(*(told_apart(a, b, digits=5) for a, b in pairs), strict=True)
    return " instead of ".join(", ".join(side) for side in sides)


def line_of_call(source: bytes, function: str, called: str) -> int | None:
    """The line of the only call of a name in a function; None without one, or with several."""
    lines = [
        node.lineno
        for definition in ast.walk(ast.parse(source))
        if isinstance(definition, ast.FunctionDef) and definition.name == function
        for node in ast.walk(definition)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == called
    ]
    return lines[0] if len(lines) == 1 else None
