"""Find the line that cuts a gradient off, among the results and calls that the output needs."""

import ast
import re
from collections.abc import Iterator

from gpt2_small.checker.mistakes.lines.stages.trace_comparison import leading_to_output
from gpt2_small.checker.sandbox.tracing import Trace

_CUTTING = ("item", "detach", "tolist", "numpy")
# Operations without gradients.
_WITHOUT_GRADIENT = (
    "argmax", "sort", "topk", "shape", "size", "long", "int", "bool", "new_full", "new_zeros",
    "new_ones", "new_tensor", "new_empty", "zeros_like", "ones_like", "full_like", "empty_like",
    "rand_like", "randn_like",
)  # fmt: skip
_MAXIMA = ("max", "amax")


def cuts_in(trace: Trace, message: str, source: str) -> list[int]:
    """The lines of the results without a gradient that the output is computed from.

    None counts if the message is of a parameter that no line reads, and so needs no cut.
    """
    if not _is_read(message, source):
        return []
    events, leading = trace.events, leading_to_output(trace)
    return [
        event.line
        for index, event in enumerate(events)
        if event.is_detached and index in leading
        if event.operation not in _WITHOUT_GRADIENT and not _is_maximum(trace, index)
    ]


def only_cut(own: ast.AST, said: str, source: str) -> int | None:
    """The line of a part's only call that may explain a gradient of None; None if unclear.

    own: the part's class or function. said: the failed check and its message.
    """
    if not re.search("[Tt]he gradient of .* is [Nn]one", said) or not _is_read(said, source):
        return None
    lines = [
        call.lineno
        for function in ast.walk(own)
        if isinstance(function, ast.FunctionDef)
        for call in ast.walk(function)
        if isinstance(call, ast.Call) and getattr(call.func, "attr", "") in _CUTTING
        if function.name == "__init__" or _is_returned(call, function)
    ]
    return lines[0] if len(set(lines)) == 1 else None


def _is_maximum(trace: Trace, index: int) -> bool:
    """Whether a result is the maximum that a softmax may subtract without any gradient."""
    events = trace.events
    users = [event.operation for event in events if index in event.inputs]
    made_of = [events[source].operation for source in events[index].inputs]
    is_made = bool(made_of) and all(operation in _MAXIMA for operation in made_of)
    is_used = bool(users) and all(operation in _MAXIMA for operation in users)
    return is_made or is_used or events[index].operation in _MAXIMA


def _is_read(message: str, source: str) -> bool:
    """Whether a line outside of constructors reads the parameter without a gradient, if one is.

    A module's parameter is read with the module.
    """
    found = re.search(r"[Tt]he gradient of ([\w.]+) is [Nn]one", message)
    if found is None:
        return True
    names = found[1].split(".")
    return any(
        isinstance(node, ast.Attribute) and node.attr in names
        for function in ast.walk(ast.parse(source))
        if isinstance(function, ast.FunctionDef) and function.name != "__init__"
        for node in ast.walk(function)
    )


def _is_returned(call: ast.Call, function: ast.FunctionDef) -> bool:
    """Whether what a function returns is computed from a call's result."""
    carrying: set[str] = set()
    while True:
        before = set(carrying)
        for node in ast.walk(function):
            value = getattr(node, "iter" if isinstance(node, ast.For) else "value", None)
            if not isinstance(value, ast.AST) or not _carries(value, call, carrying):
                continue
            if isinstance(node, (ast.Return, ast.Yield, ast.YieldFrom)):
                return True
            carrying |= set(_receiving(node)) - _UNCOUNTED
        if carrying == before:
            return False


# Names that stand before much that has nothing to do with a value put there.
_UNCOUNTED = {"self", "F", "nn", "torch", "math", "np", "numpy"}


def _carries(value: ast.AST, call: ast.Call, carrying: set[str]) -> bool:
    """Whether an expression contains a call, or a name whose value is computed from it."""
    return any(
        node is call or (isinstance(node, (ast.Name, ast.Attribute)) and _name(node) in carrying)
        for node in ast.walk(value)
    )


def _receiving(node: ast.AST) -> Iterator[str]:
    """The names that a statement gives a value: its targets, or the owner of a called method."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        called = node.value.func
        targets = [called.value] if isinstance(called, ast.Attribute) else []
    else:
        targets = getattr(node, "targets", [getattr(node, "target", None)])
    for target in targets:
        for each in target.elts if isinstance(target, (ast.Tuple, ast.List)) else [target]:
            while isinstance(each, (ast.Subscript, ast.Starred)):
                each = each.value
            if isinstance(each, (ast.Name, ast.Attribute)):
                yield _name(each)


def _name(node: ast.AST) -> str:
    return ast.unparse(node)
