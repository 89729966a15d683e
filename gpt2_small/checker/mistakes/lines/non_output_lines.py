"""Find the line behind a failed check that does not concern the output."""

import ast
import re
from collections.abc import Mapping

from gpt2_small.checker.claims.observing import probes
from gpt2_small.checker.mistakes.edited_reference import reference_text
from gpt2_small.checker.mistakes.lines.first_wrong_result import misplaced_dropout
from gpt2_small.checker.mistakes.lines.gradient_cuts import cuts_in
from gpt2_small.checker.mistakes.lines.redrawn_parameters import redrawn_at
from gpt2_small.checker.parts import PARTS
from gpt2_small.checker.sandbox.tracing import Event, Trace

_FACTORIES = ("ones", "zeros", "arange", "full", "tensor", "empty", "eye", "rand", "randn",
              "linspace")  # fmt: skip
_KEPT = (*_FACTORIES, "tril", "triu")
_LIMITING = ("clamp", "clamp_", "clip", "clip_", "remainder", "__mod__", "fmod", "minimum", "min")


def non_output_line(
    group: str,
    part: str,
    seed: int,
    message: str,
    traces: Mapping[str, Trace],
    source: str,
) -> int | None:
    """The line behind a failed check of a group, if it can be determined.

    message: the check's message, which names parameters. traces: the part's traces by case.
    """
    if group == "initialisation" and (line := redrawn_at(part, message, source)) is not None:
        return line
    if group in ("state", "initialisation"):
        return _assignment(part, message, source)
    if group == "taps":
        return _tap_call(part, message, source)
    if "" not in traces:
        return None
    events = traces[""].events
    if group == "device":
        lines = [e.line for e in events if e.operation in _FACTORIES and not e.inputs]
        lines = lines or _kept_tensors(part, source)
    elif group == "inputs":
        lines = [e.line for e in events if is_in_place(e.operation) and e.from_data]
    elif group == "gradient":
        lines = cuts_in(traces[""], message, source)
    elif group == "dropout":
        lines = _dropping(part, seed, traces)
    elif group == "refusals":
        long = traces.get("too long", Trace()).events
        lines = [e.line for e in long if e.operation in _LIMITING or _cuts_tokens(e)]
    else:
        lines = []
    return lines[0] if lines else None


def in_given_function(source: str, line: int) -> bool:
    """Whether a line is in a function that the skeleton gives, and that is unchanged."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return False
    for node in tree.body:
        is_inside = line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
        if is_inside and isinstance(node, ast.FunctionDef) and node.name not in PARTS:
            return ast.dump(node) in map(ast.dump, ast.parse(reference_text()).body)
    return False


def only_line(trace: Trace) -> int | None:
    """The line of all results that depend on the input, where there is only one such line."""
    lines = {event.line for event in trace.events if event.from_data}
    return lines.pop() if len(lines) == 1 else None


def _dropping(part: str, seed: int, traces: Mapping[str, Trace]) -> list[int]:
    """Lines with dropout in evaluation mode, or at another place than the reference's."""
    seen = traces.get("dropout", Trace()).events
    if active := [e.line for e in seen if e.is_random]:
        return active
    return misplaced_dropout(part, seed, traces[""])


def _cuts_tokens(event: Event) -> bool:
    """Whether a result is the first or last n_ctx tokens of a longer sequence."""
    value, n_ctx = event.value, probes.SIZES["n_ctx"]
    if event.operation != "__getitem__" or value is None:
        return False
    return value.shape[1:] == (n_ctx,) and not value.is_floating_point()


def is_in_place(operation: str) -> bool:
    """Whether an operation changes one of its arguments."""
    return (operation.endswith("_") and not operation.endswith("__")) or (
        re.fullmatch("__i[a-z]+__|__setitem__", operation) is not None
    )


def _assignment(part: str, message: str, source: str) -> int | None:
    """The line in a part's class that assigns a parameter, buffer or module named in a message."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return None
    found: dict[str, int] = {}
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == part:
            for inner in ast.walk(node):
                for name in _made(inner):
                    found.setdefault(name, inner.lineno)  # type: ignore[attr-defined]
    words = re.findall(r"[A-Za-z_]\w*", message)
    return next((found[word] for word in words if word in found), None)


def _kept_tensors(part: str, source: str) -> list[int]:
    """The lines in a part's constructor that keep a new tensor as a plain attribute."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return []
    return [
        statement.lineno
        for own in tree.body
        if isinstance(own, ast.ClassDef) and own.name == part
        for method in own.body
        if isinstance(method, ast.FunctionDef) and method.name == "__init__"
        for statement in ast.walk(method)
        if isinstance(statement, ast.Assign) and _made(statement)
        if _called(statement) & set(_KEPT) and not _called(statement) & {"Parameter"}
    ]


def _called(node: ast.AST) -> set[str]:
    """The names of the functions and methods called in a statement."""
    calls = (inner.func for inner in ast.walk(node) if isinstance(inner, ast.Call))
    return {str(getattr(func, "attr", getattr(func, "id", ""))) for func in calls}


def _tap_call(part: str, message: str, source: str) -> int | None:
    """The line in a part's class that calls its own tap named in a message."""
    tap = re.match(r"the activation at (hook_\w+) ", message)
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return None
    classes = (n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == part)
    return next(
        (
            node.lineno
            for own in classes
            for node in ast.walk(own)
            if isinstance(node, ast.Call) and tap and getattr(node.func, "attr", "") == tap[1]
        ),
        None,
    )


def _made(node: ast.AST) -> list[str]:
    """The attributes of self that a statement assigns."""
    if isinstance(node, (ast.Assign, ast.AnnAssign)):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        flat = [e for t in targets for e in (t.elts if isinstance(t, ast.Tuple) else [t])]
        return [t.attr for t in flat if isinstance(t, ast.Attribute)]
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        called = getattr(node.value.func, "attr", "")
        if called.startswith("register_") and node.value.args:
            name = node.value.args[0]
            return [str(name.value)] if isinstance(name, ast.Constant) else []
    return []
