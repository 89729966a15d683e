"""Find the line that reads an iterator again after an earlier line has used it up."""

import ast

# Calls whose results can be iterated once.
_ITERATORS = ("named_parameters", "parameters", "named_modules", "modules", "filter", "map", "zip",
              "iter", "enumerate", "reversed")  # fmt: skip


def used_up_iterator(source: bytes, function: str) -> tuple[int, str] | None:
    """The line of a variable's second loop, and a sentence; None if no iterator is read twice.

    A variable counts that is assigned once, an iterator, and is what two loops or comprehensions
    iterate over, neither inside the other.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and node.name == function:
            for name in sorted(_assigned_once(node)):
                lines = sorted(
                    loop.iter.lineno
                    for loop in ast.walk(node)
                    if isinstance(loop, (ast.For, ast.comprehension))
                    and isinstance(loop.iter, ast.Name)
                    and loop.iter.id == name
                )
                if len(lines) > 1:
                    return lines[1], f"line {lines[0]} has already used up the iterator {name}"
    return None


def _assigned_once(function: ast.FunctionDef) -> set[str]:
    """The variables of a function with one assignment, of an iterator."""
    found: dict[str, list[ast.expr]] = {}
    for node in ast.walk(function):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    found.setdefault(target.id, []).append(node.value)
    return {name for name, values in found.items() if len(values) == 1 and _is_iterator(values[0])}


def _is_iterator(value: ast.expr) -> bool:
    if isinstance(value, ast.GeneratorExp):
        return True
    if not isinstance(value, ast.Call):
        return False
    called = value.func
    name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
    return name in _ITERATORS
