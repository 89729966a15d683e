"""Find a right result that nothing uses, because it is stored nowhere or under a name never read.

For instance `scores.masked_fill(mask, -inf)` as a statement, or a misspelt name.
"""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import replace

from torch import Tensor

from gpt2_small.checker.claims.judging.runner import reference
from gpt2_small.checker.mistakes.lines.effects.effect_comparison import placed_at
from gpt2_small.checker.mistakes.lines.location import Location
from gpt2_small.checker.mistakes.lines.non_output_lines import is_in_place
from gpt2_small.checker.mistakes.lines.stages.reference_stages import NAMES, stages
from gpt2_small.checker.mistakes.lines.stages.stage import Stage
from gpt2_small.checker.mistakes.lines.stages.stage_matching import match
from gpt2_small.checker.mistakes.lines.stages.trace_comparison import leading_to_output
from gpt2_small.checker.sandbox.tracing import Trace, record

_JOINING = ("cat", "concat", "concatenate", "hstack")
# Operations with which a softmax may begin.
_OF_SOFTMAX = ("exp", "exp_", "amax", "max", "log_softmax", "logsumexp")
# The effect that shows that generate loses its tokens.
_READS_FEWER = "the number of tokens that the model reads"


def in_place_of(
    found: Location | None, part: str, seed: int, trace: Trace, source: str
) -> Location | None:
    """The line of an unused right result if it precedes a found location, else that location.

    Where none is found, an unused result counts if it is the reference's output.
    """
    known = () if part == "generate" else stages(part, seed)
    if found is None:
        known = tuple(stage for stage in known if stage.name == NAMES["returned"])
    unused = _unused(known, part, trace, source)
    if unused is None:
        return found
    index, stage = unused
    if found is not None and not _follows(found, trace, index):
        return found
    if found is not None and stage is not None:
        wrong = _first_wrong(found, trace)
        if _is_computed_again(wrong, trace, index, _operations_on(stage, part, seed)):
            return found
    return placed_at(trace.events[index].line, "nothing uses its result")


def _follows(found: Location, trace: Trace, unused: int) -> bool:
    """Whether a location is of something that a part does after an event."""
    if found.is_effect:
        return found.differs_is.startswith(_READS_FEWER)
    return found.first_wrong is not None and _first_wrong(found, trace) > unused


def _first_wrong(found: Location, trace: Trace) -> int:
    """The event of a location's first wrong result; -1 without one."""
    values = (index for index, event in enumerate(trace.events) if event.value is found.first_wrong)
    return next(values, -1)


def _is_computed_again(wrong: int, trace: Trace, unused: int, following: set[str]) -> bool:
    """Whether a wrong result is computed in place of a right one, of a statement for debugging.

    It is computed from the same inputs, but not by an operation that follows on the right one: a
    softmax of scores is no other mask. following: the reference's operations on the right result.
    """
    leading = {*leading_to_output(replace(trace, output=wrong)), wrong}
    given = set(trace.events[unused].inputs)
    operations = {
        trace.events[index].operation
        for index in leading
        if index <= wrong and given & set(trace.events[index].inputs)
    }
    return bool(operations) and not operations & following


def _operations_on(stage: Stage, part: str, seed: int) -> set[str]:
    """The reference's operations on a stage."""
    events = record(reference(), part, seed).events
    of_stage = {index for index, event in enumerate(events) if _is_of(event.value, stage)}
    found = {event.operation for event in events if of_stage & set(event.inputs)}
    return found | set(_OF_SOFTMAX if "softmax" in found else ())


def _unused(
    known: Sequence[Stage], part: str, trace: Trace, source: str
) -> tuple[int, Stage | None] | None:
    """The first event with a right result that no other event uses, in a statement without use.

    With the stage of the result, if it has a name, which may be for debugging.
    Without one whose stage the output is computed from.
    """
    statements = dict(_without_use(source))
    used = {index for event in trace.events for index in event.inputs} | {trace.output}
    for index, event in enumerate(trace.events):
        operation = statements.get(event.line)
        if index in used or operation is None or not (event.inputs and event.from_data):
            continue
        if is_in_place(event.operation) or operation not in ("", event.operation):
            continue
        if part == "generate":
            if event.operation in _JOINING:
                return index, None
        elif event.value is not None and (found := match(event.value, known)) is not None:
            others = (trace.events[other].value for other in leading_to_output(trace))
            if not any(_is_of(value, found.stage) for value in others):
                return index, None if operation else found.stage
    return None


def _is_of(value: Tensor | None, stage: Stage) -> bool:
    return value is not None and match(value, [stage]) is not None


def _without_use(source: str) -> Iterator[tuple[int, str]]:
    """The lines of the statements without use, each with the only operation that counts, or "".

    A call as a statement counts for the operation of its own name alone: `print(x.sum())` is none.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    for function in functions:
        names = [node for node in ast.walk(function) if isinstance(node, ast.Name)]
        read = {node.id for node in names if not isinstance(node.ctx, ast.Store)}
        for node in ast.walk(function):
            operation = _operation(node, read)
            if operation is not None:
                assert isinstance(node, ast.stmt)
                for line in range(node.lineno, (node.end_lineno or node.lineno) + 1):
                    yield line, operation


def _operation(node: ast.AST, read: set[str]) -> str | None:
    """The operation of a call as a statement; "" for a name never read; None for others."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        return str(getattr(node.value.func, "attr", "")) or None
    if isinstance(node, ast.Assign) and len(node.targets) == 1:
        target = node.targets[0]
        return "" if isinstance(target, ast.Name) and target.id not in read else None
    return None
