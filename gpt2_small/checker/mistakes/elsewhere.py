"""Find the line behind a failed check that is not about what a part computes."""

import ast
import re

from gpt2_small.checker.sandbox.tracing import Trace

_FACTORIES = ("ones", "zeros", "arange", "full", "tensor", "empty", "eye", "rand", "randn",
              "linspace")  # fmt: skip
_DETACHING = ("detach", "data", "item", "tolist", "numpy")


def line_elsewhere(
    group: str, part: str, message: str, trace: Trace | None, source: str
) -> int | None:
    """The line of a file that a failed check of a group is about, where one can be told.

    message: the check's, whose words name parameters.
    """
    if group in ("state", "initialisation"):
        return _assignment(part, message, source)
    if trace is None:
        return None
    events = trace.events
    if group == "device":
        lines = [e.line for e in events if e.operation in _FACTORIES and not e.inputs]
    elif group == "inputs":
        lines = [e.line for e in events if _is_in_place(e.operation) and e.from_data]
    elif group == "gradient":
        lines = [e.line for e in events if e.operation in _DETACHING and e.from_data]
    elif group == "dropout":
        lines = [
            e.line for e in events if e.operation in ("dropout", "scaled_dot_product_attention")
        ]
        lines = lines if len(set(lines)) == 1 else []
    else:
        lines = []
    return lines[0] if lines else None


def _is_in_place(operation: str) -> bool:
    return (operation.endswith("_") and not operation.endswith("__")) or (
        re.fullmatch("__i[a-z]+__|__setitem__", operation) is not None
    )


def _assignment(part: str, message: str, source: str) -> int | None:
    """Where a parameter, buffer or module that a message names is made in a part's class."""
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


def _made(node: ast.AST) -> list[str]:
    """The attributes that a statement gives to self."""
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
