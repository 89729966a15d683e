"""Make a learner's file: the reference without the parts' bodies."""

import ast
import textwrap
from functools import cache

from gpt2_small.checker import kit_version
from gpt2_small.checker.exercise_set import GPT2, ExerciseSet
from gpt2_small.checker.mistakes.edited_reference import reference_text

_WIDTH = 100
_PREFACE_OF_CLASSES = """
# Write the parts from top to bottom: put your code in the place of each `raise`. The names,
# `__init__` and the helpers are given. A tap is called with an activation and returns it, so that
# others can read it: pre = self.hook_pre(pre). `gpt2-small watch FILE` checks after every save.
# ruff: noqa: F401
"""
_PREFACE_OF_FUNCTIONS = """
# Write the functions from top to bottom: put your code in the place of each `raise`.
# `gpt2-small watch FILE` checks after every save.
# ruff: noqa: F401
"""


@cache
def skeleton(exercises: ExerciseSet = GPT2) -> str:
    """The reference with every body replaced by its steps in comments."""
    text = reference_text(exercises)
    for part in exercises.parts:
        text = with_body(text, part, _left_out(part, exercises))
    line = _last_line(ast.parse(text).body[0])
    lines = text.splitlines(keepends=True)
    marks = [preface(exercises), kit_version.mark(), exercises.mark]
    return "".join([*lines[:line], *marks, *lines[line:]])


def preface(exercises: ExerciseSet = GPT2) -> str:
    """The comment below the docstring of a skeleton: how to go on."""
    has_classes = any(part[0].isupper() for part in exercises.parts)
    return _PREFACE_OF_CLASSES if has_classes else _PREFACE_OF_FUNCTIONS


def reference_body(part: str, exercises: ExerciseSet = GPT2) -> str:
    """The reference's lines of a part's body."""
    return body_of(reference_text(exercises), part)


def reference_code(part: str, exercises: ExerciseSet = GPT2) -> str:
    """The reference's code of a part: decorators, signature and body, without docstring."""
    lines = reference_text(exercises).splitlines(keepends=True)
    function = function_of(ast.parse(reference_text(exercises)), part)
    start = min([function.lineno, *(d.lineno for d in function.decorator_list)])
    signature = "".join(lines[start - 1 : _last_line(function.returns)])
    return textwrap.dedent(signature + reference_body(part, exercises))


def body_of(text: str, part: str) -> str:
    """A file's lines of a part's body, without its docstring."""
    first, last = _body_lines(text, part)
    return "".join(text.splitlines(keepends=True)[first:last])


def with_body(text: str, part: str, body: str) -> str:
    """Replace a part's body in a file, but not the docstring."""
    first, last = _body_lines(text, part)
    lines = text.splitlines(keepends=True)
    return "".join([*lines[:first], body, *lines[last:]])


def function_of(tree: ast.Module, part: str) -> ast.FunctionDef:
    """The function to write: the part, or its class's `forward`."""
    (node,) = (n for n in tree.body if getattr(n, "name", None) == part)
    if isinstance(node, ast.ClassDef):
        (node,) = (n for n in node.body if getattr(n, "name", None) == "forward")
    assert isinstance(node, ast.FunctionDef)
    return node


def full_name(part: str) -> str:
    """The name of a part's function: `LayerNorm.forward`, `sample`."""
    return f"{part}.forward" if part[0].isupper() else part


def _body_lines(text: str, part: str) -> tuple[int, int]:
    """The range of lines, from 0, of a part's body with its comments."""
    function = function_of(ast.parse(text), part)
    documented = ast.get_docstring(function) is not None
    before = function.body[0] if documented else function.returns
    return _last_line(before), _last_line(function)


def _last_line(node: ast.AST | None) -> int:
    """The last line of a node, from 1."""
    assert isinstance(node, (ast.stmt, ast.expr))
    assert node.end_lineno is not None
    return node.end_lineno


@cache
def _left_out(part: str, exercises: ExerciseSet) -> str:
    """The lines that replace a body: its steps, and NotImplementedError."""
    indent = " " * (8 if part[0].isupper() else 4)
    lines = []
    for number, step in enumerate(exercises.guides()[part].steps, start=1):
        lines += textwrap.wrap(
            step,
            width=_WIDTH,
            initial_indent=f"{indent}# {number}. ",
            subsequent_indent=f"{indent}#    ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    lines.append(f'{indent}raise NotImplementedError("{full_name(part)} is not written yet")')
    return "\n".join(lines) + "\n"
