"""Find the only statement of a part that a failed check's message is about."""

import ast
import re
from collections.abc import Callable

from gpt2_small.checker.mistakes.lines.gradient_cuts import only_cut
from gpt2_small.checker.mistakes.lines.returned_line import definition_of


def only_statement(part: str, check: str, message: str, source: str) -> int | None:
    """The line of the only call or refusal of a part that explains a message; None if unclear."""
    own = definition_of(part, source)
    if own is None:
        return None
    for words, is_about in _RULES.items():
        found = re.search(words, f"{check}: {message}")
        if found is not None:
            name = found[1] if found.groups() else ""
            lines = [node.lineno for node in ast.walk(own) if is_about(node, name)]  # type: ignore[attr-defined]
            return lines[0] if len(lines) == 1 else None
    return only_cut(own, f"{check}: {message}", source)


def _refuses(node: ast.AST, kind: str) -> bool:
    """Whether a statement raises an exception of this kind."""
    if isinstance(node, ast.Assert):
        return kind == "AssertionError"
    return isinstance(node, ast.Raise) and node.exc is not None and _called(node.exc) == kind


def _calls(*names: str) -> Callable[[ast.AST, str], bool]:
    """Whether a node calls one of these functions or methods."""
    return lambda node, _: isinstance(node, ast.Call) and _called(node) in names


def _squeezes_all(node: ast.AST, _: str) -> bool:
    """Whether a node removes all axes of size 1."""
    is_bare = isinstance(node, ast.Call) and not node.args and not node.keywords
    return is_bare and _called(node) == "squeeze"


def _called(node: ast.AST) -> str:
    func = node.func if isinstance(node, ast.Call) else node
    return str(getattr(func, "attr", getattr(func, "id", "")))


# Words of a check's name and message, and the statement behind them.
_RULES: dict[str, Callable[[ast.AST, str], bool]] = {
    r"refused with (\w+Error); (?:it|they) should be": _refuses,
    r"has the shape \[\]": _squeezes_all,
    r"of the step is a tensor of": _calls("StepResult"),
    r"gradients were not exchanged": _calls("synchronised"),
    r"loss= replaces the next-token loss": _calls("next_token_loss", "batch_loss"),
}
