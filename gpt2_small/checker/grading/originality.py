"""Detect imports of the reference and copied bodies in a file's text.

It reads only the text and is easy to deceive; it helps an instructor to review.
"""

import ast
import difflib
import warnings
from collections.abc import Iterable, Iterator, Sequence
from functools import cache

from gpt2_small.checker.exercise_set import GPT2, ExerciseSet
from gpt2_small.checker.grading.outside_access import is_grave, outside_accesses
from gpt2_small.checker.learner.skeleton import function_of
from gpt2_small.checker.mistakes.edited_reference import reference_text

# Shorter bodies are similar in independent files.
_LONG_ENOUGH = 120
# Independent correct files have a likeness of 0.07 to 0.51 per part.
_ALIKE = 0.9


def parsed(text: bytes) -> ast.Module | None:
    """The syntax tree of a file; None if it is not Python."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


def remarks_on(
    source: bytes,
    done: Iterable[str],
    exercises: ExerciseSet = GPT2,
    accesses: Sequence[str] = (),
) -> list[str]:
    """Remarks on a file for the instructor; of a text that cannot be read, what it accessed.

    done: the parts that hold, which the file should define.
    """
    tree = parsed(source)
    if tree is None:
        return list(accesses)
    missing = [f"{part} holds, but is not defined in the file" for part in undefined(tree, done)]
    try:
        return missing + remarks(tree, exercises, accesses)
    except RecursionError:
        return [*missing, "code nested too deeply to be reviewed", *accesses]


def remarks(
    tree: ast.Module, exercises: ExerciseSet = GPT2, accesses: Sequence[str] = ()
) -> list[str]:
    """Remarks on a file for the instructor, the most important first.

    accesses: what was seen while it ran; what its text says too is listed once.
    """
    reached = [(what, f"{what} (line {line})") for line, what in outside_accesses(tree)]
    in_text = {what for what, _ in reached}
    seen = [(access.partition(" (line ")[0], access) for access in accesses]
    reached = [one for one in seen if one[0] not in in_text] + reached
    likes = [f"{part} {share:.0%}" for part, share in likenesses(tree, exercises).items()]
    return [
        *(said for what, said in reached if is_grave(what)),
        *([f"reads like the reference: {', '.join(likes)}"] if likes else []),
        *(said for what, said in reached if not is_grave(what)),
    ]


def undefined(tree: ast.Module, parts: Iterable[str]) -> list[str]:
    """The parts without a class or function in the file."""
    kinds = (ast.ClassDef, ast.FunctionDef)
    defined = {node.name for node in tree.body if isinstance(node, kinds)}
    return [part for part in parts if part not in defined]


def likenesses(tree: ast.Module, exercises: ExerciseSet = GPT2) -> dict[str, float]:
    """The longer parts that resemble the reference up to names, with their likeness."""
    found = {}
    for part in exercises.parts:
        reference, own = _reference_code(part, exercises), _code(tree, part)
        if len(reference) >= _LONG_ENOUGH and 0 < len(own) < 2 * len(reference):
            share = difflib.SequenceMatcher(None, reference, own, autojunk=False).ratio()
            if share >= _ALIKE:
                found[part] = share
    return found


def fingerprint(tree: ast.Module, exercises: ExerciseSet = GPT2) -> str:
    """The code of all parts without names, comments and layout, for comparing files."""
    return "\n".join(" ".join(_code(tree, part)) for part in exercises.parts)


@cache
def _reference_code(part: str, exercises: ExerciseSet) -> list[str]:
    return _code(ast.parse(reference_text(exercises)), part)


def _code(tree: ast.Module, part: str) -> list[str]:
    """A part's body as tokens with numbered local names; [] without one."""
    try:
        function = function_of(tree, part)
    except (ValueError, AssertionError):
        return []
    body = function.body[ast.get_docstring(function) is not None :]
    numbers: dict[str, str] = {}
    words = []
    for node in (inner for statement in body for inner in _in_order(statement)):
        words.append(type(node).__name__)
        if isinstance(node, ast.Name):
            words.append(numbers.setdefault(node.id, f"name{len(numbers)}"))
        elif isinstance(node, ast.Attribute):
            words.append(node.attr)
        elif isinstance(node, ast.Constant):
            words.append(repr(node.value))
    return words


def _in_order(node: ast.AST) -> Iterator[ast.AST]:
    """A node and its descendants in source order."""
    left = [node]
    while left:
        node = left.pop()
        yield node
        children = [c for c in ast.iter_child_nodes(node) if not isinstance(c, ast.expr_context)]
        left += reversed(children)
