"""Find a line that unpacks several results into each other's names."""

import ast
import re
from collections.abc import Iterator

from gpt2_small.checker.mistakes.lines.location import Location
from gpt2_small.checker.mistakes.lines.stages.reference_stages import NAMES, WITHIN
from gpt2_small.checker.mistakes.lines.stages.trace_comparison import TraceComparison

# What a variable's name promises, in the order in which these are tried.
_PROMISED = {
    "mean": r"(.*_)?(mean|mu|avg|average)\d*",
    "variance": r"(.*_)?(var|variance|std|sigma|s2)\d*",
    NAMES["query"]: r"(.*_)?(q|qs|query|queries)\d*",
    NAMES["key"]: r"(.*_)?(k|ks|key|keys)\d*",
    NAMES["value"]: r"(.*_)?(v|vs|value|values)\d*",
}
# Operations with results of fixed meaning.
_RESULTS = {"var_mean": ("variance", "mean"), "std_mean": ("variance", "mean")}


def swapped_names(compared: TraceComparison, source: str, before: int) -> Location | None:
    """The first line, before an event's, whose names promise each other's results."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return None
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple)):
            continue
        names = [getattr(target, "id", "") for target in node.targets[0].elts]
        promised = [_promised(name) for name in names]
        lines = range(node.lineno, (node.end_lineno or node.lineno) + 1)
        for results in _unpacked(compared, lines, len(names)):
            held = [_held(compared, index, place) for place, index in enumerate(results)]
            if max(results) >= before or None in promised or promised == held:
                continue
            if sorted(map(str, promised)) == sorted(map(str, held)):
                said = " and ".join(
                    f"{name} holds {_article(what)}"
                    for name, what, wanted in zip(names, held, promised, strict=True)
                    if what != wanted
                )
                return Location(None, "", node.lineno, said)
    return None


def _promised(name: str) -> str | None:
    found = (what for what, pattern in _PROMISED.items() if re.fullmatch(pattern, name.lower()))
    return next(found, None)


def _held(compared: TraceComparison, index: int, place: int) -> str | None:
    """What a result is: by its operation, else the reference's named stage."""
    meanings = _RESULTS.get(compared.trace.events[index].operation)
    if meanings is not None:
        return meanings[place]
    found = compared.matches[index]
    return None if found is None else found.stage.name.removeprefix(WITHIN)


def _unpacked(compared: TraceComparison, lines: range, number: int) -> Iterator[list[int]]:
    """The runs of as many results as names that one call in these lines made."""
    events = compared.trace.events
    made = [index for index, event in enumerate(events) if event.line in lines]
    for first in made:
        run = list(range(first, first + number))
        if run[-1] < len(events) and all(
            events[i].line == events[first].line
            and events[i].operation == events[first].operation
            and events[i].inputs == events[first].inputs
            for i in run
        ):
            yield run


def _article(what: str | None) -> str:
    return f"the {what}" if what in ("mean", "variance") else str(what)
