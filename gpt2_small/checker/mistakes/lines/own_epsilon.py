"""Find the line that sets the epsilon that another line of a class uses."""

import ast
from collections.abc import Iterator

from gpt2_small.checker.mistakes.lines.returned_line import definition_of

# No epsilon of a normalization is larger.
_LARGEST = 0.1


def epsilon_of(part: str, source: str, used_at: int) -> int | None:
    """The line that sets the epsilon that a line of a class uses by its name; None without one.

    For instance `self.eps = 1e-5`, or the default in `def __init__(self, config, eps=1e-5)`.
    None if the line's own statement has such a number.
    """
    own = definition_of(part, source)
    if own is None or any(map(_is_epsilon, _statement_at(own, used_at))):
        return None
    set_at: dict[str, int] = {}
    for name, value in _set(own):
        if _is_epsilon(value):
            set_at.setdefault(name, value.lineno)
        elif isinstance(value, ast.Name) and value.id in set_at:
            set_at.setdefault(name, set_at[value.id])
    used = (_name(node) for node in ast.walk(own) if getattr(node, "lineno", 0) == used_at)
    found = {set_at[name] for name in used if name in set_at} - {used_at}
    return found.pop() if len(found) == 1 else None


def _is_epsilon(value: ast.AST) -> bool:
    """Whether a value is a constant of an epsilon's size."""
    number = value.value if isinstance(value, ast.Constant) else None
    return isinstance(number, float) and 0 < number < _LARGEST


def _statement_at(own: ast.AST, line: int) -> Iterator[ast.AST]:
    """The nodes of the statements, other than blocks, that have a line."""
    for node in ast.walk(own):
        if not isinstance(node, ast.stmt) or hasattr(node, "body"):
            continue
        if node.lineno <= line <= (node.end_lineno or node.lineno):
            yield from ast.walk(node)


def _set(own: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """The names and attributes that get a value, defaults first."""
    for function in ast.walk(own):
        if isinstance(function, ast.FunctionDef):
            given = function.args
            positional = [*given.posonlyargs, *given.args]
            defaults = zip(reversed(positional), reversed(given.defaults), strict=False)
            for argument, default in (
                *defaults, *zip(given.kwonlyargs, given.kw_defaults, strict=True),
            ):  # fmt: skip
                if default is not None:
                    yield argument.arg, default
    for node in ast.walk(own):
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            yield _name(node.targets[0]), node.value


def _name(node: ast.AST) -> str:
    return str(getattr(node, "attr", getattr(node, "id", "")))
