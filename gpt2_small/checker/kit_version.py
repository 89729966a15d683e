"""Compare the version that wrote a learner's file with the installed one.

`start` writes the version into a comment. The installed version judges the file; if it is another,
a remark lists the given code that has changed since.
"""

import ast
import re

from gpt2_small import __version__
from gpt2_small.checker.exercise_set import ExerciseSet
from gpt2_small.checker.mistakes.edited_reference import reference_text

_LINE = re.compile(rb"^# begun with gpt2-small (\d+(?:\.\d+)*\S*)[ \t]*\r?$", re.MULTILINE)
_MOST_NAMES = 6


def mark(version: str = __version__) -> str:
    """The comment line with the version."""
    return f"# begun with gpt2-small {version}\n"


def without_mark(text: str) -> str:
    """Remove the comment line."""
    return re.sub(_LINE.pattern.decode() + "\n?", "", text, count=1, flags=re.MULTILINE)


def begun_with(source: bytes) -> str | None:
    """The version in a file's comment; None without one."""
    found = _LINE.search(source)
    return found[1].decode(errors="replace") if found else None


def remark(source: bytes, exercises: ExerciseSet) -> str | None:
    """A sentence about a file of another version; else None."""
    version = begun_with(source)
    if version is None or version == __version__:
        return None
    said = f"begun with gpt2-small {version}, judged by {__version__}"
    if _numbers(version) > _numbers(__version__):
        return f"{said}, which is older; install {version} to judge it"
    changed = changed_code(source, exercises)
    names = ", ".join(changed[:_MOST_NAMES])
    more = f" and {len(changed) - _MOST_NAMES} more" if len(changed) > _MOST_NAMES else ""
    return f"{said}; given code that differs: {names or 'none'}{more}"


def changed_code(source: bytes, exercises: ExerciseSet) -> list[str]:
    """Given code (signatures, `__init__`, helpers) that a file lacks or has changed."""
    try:
        own = _given(ast.parse(source), exercises)
    except (SyntaxError, ValueError, RecursionError):
        return []
    reference = _given(ast.parse(reference_text(exercises)), exercises)
    return [name for name, code in reference.items() if own.get(name) != code]


def _given(tree: ast.Module, exercises: ExerciseSet) -> dict[str, str]:
    """A file's given code by name, without docstrings."""
    found = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            found[node.name] = _code(node, signature_only=node.name in exercises.parts)
        elif isinstance(node, ast.ClassDef):
            is_part = node.name in exercises.parts
            rest = [inner for inner in node.body if not isinstance(inner, ast.FunctionDef)]
            found[node.name] = "\n".join(ast.unparse(inner) for inner in _undocumented(rest))
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef):
                    is_exercise = is_part and inner.name == "forward"
                    name = f"{node.name}.{inner.name}"
                    found[name] = _code(inner, signature_only=is_exercise)
        elif isinstance(node, ast.Assign):
            found[ast.unparse(node.targets[0])] = ast.unparse(node)
    return found


def _code(function: ast.FunctionDef, *, signature_only: bool) -> str:
    returns = ast.unparse(function.returns) if function.returns else ""
    signature = f"({ast.unparse(function.args)}) -> {returns}"
    if signature_only:
        return signature
    return "\n".join([signature, *(ast.unparse(node) for node in _undocumented(function.body))])


def _undocumented(body: list[ast.stmt]) -> list[ast.stmt]:
    """Statements without a leading docstring."""
    match body:
        case [ast.Expr(value=ast.Constant(value=str())), *rest]:
            return rest
    return body


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)))
