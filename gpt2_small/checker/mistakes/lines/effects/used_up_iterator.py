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
                lines = _loops_over(name, node)
                if len(lines) > 1:
                    return lines[1], f"line {lines[0]} has already used up the iterator {name}"
    return None


def used_up_argument(source: bytes) -> tuple[int, str] | None:
    """The second loop over a function's parameter that is an iterator in every call; else None."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef):
            continue
        for place, parameter in enumerate(node.args.args):
            given = [
                call.args[place]
                for call in ast.walk(tree)
                if isinstance(call, ast.Call)
                and getattr(call.func, "id", "") == node.name
                and place < len(call.args)
            ]
            lines = _loops_over(parameter.arg, node)
            is_kept = parameter.arg in _assigned(node)
            if given and all(map(_is_iterator, given)) and len(lines) > 1 and not is_kept:
                said = f"line {lines[0]} has already used up the iterator {parameter.arg}"
                return lines[1], said
    return None


def _loops_over(name: str, function: ast.FunctionDef) -> list[int]:
    """The lines of the loops and comprehensions that iterate over a variable."""
    return sorted(
        loop.iter.lineno
        for loop in ast.walk(function)
        if isinstance(loop, (ast.For, ast.comprehension))
        and isinstance(loop.iter, ast.Name)
        and loop.iter.id == name
    )


def _assigned(function: ast.FunctionDef) -> set[str]:
    """The variables that a function assigns."""
    return {
        target.id
        for node in ast.walk(function)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


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
