"""Find the line that returns a part's result."""

import ast

from gpt2_small.checker.sandbox.tracing import Trace


def returned_at(part: str, trace: Trace, source: str) -> int | None:
    """The line of a part's return statement, or its last executed line."""
    own = definition_of(part, source)
    if own is None:
        return None
    inside = range(own.lineno, (own.end_lineno or own.lineno) + 1)
    last = next((line for line in reversed(trace.last_lines) if line in inside), None)
    if last is None:
        return None
    for node in ast.walk(own):
        if isinstance(node, ast.Return) and node.lineno <= last <= (node.end_lineno or 0):
            return node.lineno
    return last


def definition_of(part: str, source: str) -> ast.ClassDef | ast.FunctionDef | None:
    """A part's class or function; None if the text has none, or is not Python."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return None
    kinds = (ast.ClassDef, ast.FunctionDef)
    return next((n for n in tree.body if isinstance(n, kinds) and n.name == part), None)
