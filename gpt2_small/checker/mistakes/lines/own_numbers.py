"""Find the line that sets a number that another line of a class uses."""

import ast
from collections.abc import Iterator

from gpt2_small.checker.mistakes.lines.returned_line import definition_of


def number_of(part: str, source: str, used_at: int) -> int | None:
    """The line that sets the float that a line of a class uses by its name; None without one.

    For instance `self.eps = 1e-5`, or the default in `def __init__(self, config, eps=1e-5)`.
    """
    own = definition_of(part, source)
    if own is None:
        return None
    set_at: dict[str, int] = {}
    for name, value in _set(own):
        if isinstance(value, ast.Constant) and isinstance(value.value, float):
            set_at.setdefault(name, value.lineno)
        elif isinstance(value, ast.Name) and value.id in set_at:
            set_at.setdefault(name, set_at[value.id])
    used = (_name(node) for node in ast.walk(own) if getattr(node, "lineno", 0) == used_at)
    found = {set_at[name] for name in used if name in set_at} - {used_at}
    return found.pop() if len(found) == 1 else None


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
