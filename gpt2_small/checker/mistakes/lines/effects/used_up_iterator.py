"""Find the line that reads an iterator again after an earlier line has used it up."""

import ast
from collections.abc import Sequence

from gpt2_small.checker.mistakes.lines.effects.loops_of_one_call import loops_of_one_call

# Calls whose results can be iterated once.
_ITERATORS = ("named_parameters", "parameters", "named_modules", "modules", "filter", "map", "zip",
              "iter", "enumerate", "reversed")  # fmt: skip


def used_up_iterator(source: bytes, function: str) -> tuple[int, str] | None:
    """The line of a variable's second loop, and a sentence; None if no iterator is read twice.

    A variable counts that is assigned once, an iterator, and is what two loops or comprehensions
    of one call iterate over.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and node.name == function:
            for name in sorted(_assigned_once(node)):
                for first, second in loops_of_one_call(name, node):
                    return second, _said(first, name)
    return None


def used_up_argument(source: bytes, executed: Sequence[int]) -> tuple[int, str] | None:
    """The second loop over a function's parameter that is an iterator in every call; else None.

    executed: the lines that were executed, in order; both loops must be among them.
    """
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
            if not given or not all(map(_is_iterator, given)) or parameter.arg in _assigned(node):
                continue
            for first, second in loops_of_one_call(parameter.arg, node):
                if first in executed and second in executed[executed.index(first) :]:
                    return second, _said(first, parameter.arg)
    return None


def _said(line: int, name: str) -> str:
    return f"line {line} has already used up the iterator {name}"


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
