"""Find the line that draws or changes parameters after their modules have initialised them."""

import ast
import re

from gpt2_small.checker.mistakes.lines.returned_line import definition_of

_DRAWING = ("normal_", "trunc_normal_", "uniform_", "xavier_normal_", "xavier_uniform_",
            "kaiming_normal_", "kaiming_uniform_")  # fmt: skip


def redrawn_at(part: str, message: str, source: str) -> int | None:
    """The line of a part's class that draws parameters anew, or the only one that changes one.

    For instance `nn.init.normal_` in the function that it gives to `self.apply`; `self.apply`
    itself if that function draws in several lines. message: names the changed parameter.
    """
    own = definition_of(part, source)
    if own is None:
        return None
    applied = [(call, _given(call, source)) for call in _calls(own) if _name(call.func) == "apply"]
    draws = {call.lineno: _draws(given) for call, given in applied if given and _draws(given)}
    changed = _changes(own, message)
    if len(changed) == 1 and all(line < changed[0] for line in draws):
        return changed[0]
    if not draws:
        return None
    line = max(draws)
    return draws[line].pop() if len(draws[line]) == 1 else line


def _given(call: ast.Call, source: str) -> ast.AST | None:
    """The function that a call of apply is given, if the file has it."""
    given = call.args[0] if call.args else None
    if given is None or isinstance(given, ast.Lambda):
        return given
    functions = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef))
    return next((function for function in functions if function.name == _name(given)), None)


def _draws(function: ast.AST) -> set[int]:
    """The lines of a function that draw parameters."""
    return {call.lineno for call in _calls(function) if _name(call.func) in _DRAWING}


def _changes(own: ast.AST, message: str) -> list[int]:
    """The lines of a class that change the parameter of a message in place."""
    found = re.search(r" of ([\w.]+) is ", message)
    name = found[1].split(".")[-1] if found else ""
    changed = [
        (node.lineno, node)
        for node in ast.walk(own)
        if isinstance(node, ast.AugAssign)
        or (isinstance(node, ast.Call) and re.fullmatch(r"[a-z]\w*[a-z]_", _name(node.func)))
    ]
    return [line for line, node in changed if name and name in map(_name, ast.walk(node))]


def _calls(node: ast.AST) -> list[ast.Call]:
    return [inner for inner in ast.walk(node) if isinstance(inner, ast.Call)]


def _name(node: ast.AST) -> str:
    return str(getattr(node, "attr", getattr(node, "id", "")))
