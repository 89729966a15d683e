"""Edit the reference's text, and execute the edited parts."""

import ast
import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache
from types import CodeType, ModuleType
from typing import Protocol

from gpt2_small.checker.claims.judging.runner import reference
from gpt2_small.checker.exercise_set import GPT2, ExerciseSet
from gpt2_small.checker.mistakes.merged_edits import merged
from gpt2_small.checker.mistakes.mistake import Mistake

# The file name in `build`'s code objects.
_EDITED = "<reference with a mistake>"


class Edit(Protocol):
    """Replacements in the reference's text."""

    @property
    def id(self) -> str: ...

    @property
    def edits(self) -> tuple[tuple[str, str], ...]: ...


class EditDoesNotFit(ValueError):
    """A text to replace does not occur exactly once, or conflicts with another edit."""


def reference_text(exercises: ExerciseSet = GPT2) -> str:
    return "".join(statement.text for statement in _statements(exercises))


@lru_cache(maxsize=64)
def code_without(parts: tuple[str, ...], exercises: ExerciseSet = GPT2) -> CodeType:
    """The compiled reference without some parts."""
    kept = "".join(s.text for s in _statements(exercises) if s.name not in parts)
    return compile(kept, "<the other parts>", "exec")


def edited_text(*mistakes: Edit, exercises: ExerciseSet = GPT2) -> str:
    """The reference's text with these mistakes' edits, in the first order that works.

    Raises EditDoesNotFit if in every order a text to replace does not occur exactly once.
    """
    return "".join(_edited_statements(mistakes, exercises))


def build(*mistakes: Mistake, exercises: ExerciseSet = GPT2) -> ModuleType:
    """Build the reference with these mistakes in one part.

    Only the part, helper functions and edited statements are executed again. Edits that replace the
    same text are merged if they change different words of it. Raises EditDoesNotFit.
    """
    (component,) = {mistake.component for mistake in mistakes}
    try:
        edited = _edited_statements(mistakes, exercises)
    except EditDoesNotFit as error:
        edited = _merged_statements(mistakes, exercises, error)
    wrong = ModuleType("+".join(mistake.id for mistake in mistakes))
    wrong.__file__ = _EDITED
    kept = {k: v for k, v in vars(reference(exercises)).items() if not k.startswith("__")}
    wrong.__dict__.update(kept)
    for statement, text in zip(_statements(exercises), edited, strict=True):
        if text != statement.text or statement.name == component or statement.is_helper:
            exec(_compiled(text), wrong.__dict__)
    return wrong


@dataclass(frozen=True)
class Statement:
    """A top-level statement of the reference: its text, and the names it defines."""

    text: str
    name: str
    is_helper: bool


@cache
def _statements(exercises: ExerciseSet) -> tuple[Statement, ...]:
    """The reference's statements, whose texts concatenate to its text."""
    text = exercises.reference_text()
    lines = text.splitlines(keepends=True)
    nodes = ast.parse(text).body
    starts = [0] + [_first_line(node) - 1 for node in nodes[1:]]
    ends = [*starts[1:], len(lines)]
    return tuple(
        Statement(
            "".join(lines[start:end]),
            getattr(node, "name", ""),
            isinstance(node, ast.FunctionDef) and node.name not in exercises.parts,
        )
        for node, start, end in zip(nodes, starts, ends, strict=True)
    )


def _first_line(node: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(each.lineno for each in decorators)])


def _edited_statements(mistakes: tuple[Edit, ...], exercises: ExerciseSet) -> list[str]:
    problem = EditDoesNotFit()
    for order in itertools.permutations(mistakes):
        try:
            return _edited_in_order(order, exercises)
        except EditDoesNotFit as error:
            problem = error
    raise problem


def _edited_in_order(mistakes: Iterable[Edit], exercises: ExerciseSet) -> list[str]:
    texts = [statement.text for statement in _statements(exercises)]
    for mistake in mistakes:
        for old, new in mistake.edits:
            found = [index for index, text in enumerate(texts) if old in text]
            times = sum(texts[index].count(old) for index in found)
            if times != 1:
                raise EditDoesNotFit(
                    f"{mistake.id}: {old!r} occurs {times} times in the reference's statements"
                )
            texts[found[0]] = texts[found[0]].replace(old, new)
    return texts


def _merged_statements(
    mistakes: Iterable[Edit], exercises: ExerciseSet, problem: EditDoesNotFit
) -> list[str]:
    """The statements with these edits merged word by word. Raises the problem if they conflict."""
    texts = [statement.text for statement in _statements(exercises)]
    edits_of: dict[int, list[tuple[str, str]]] = {}
    for old, new in (edit for mistake in mistakes for edit in mistake.edits):
        found = [index for index, text in enumerate(texts) for _ in range(text.count(old))]
        if len(found) != 1:
            raise problem
        edits_of.setdefault(found[0], []).append((old, new))
    for index, edits in edits_of.items():
        together = merged(texts[index], edits)
        if together is None:
            raise problem
        texts[index] = together
    return texts


@lru_cache(maxsize=4096)
def _compiled(text: str) -> CodeType:
    try:
        return compile(text, _EDITED, "exec")
    except SyntaxError as error:
        raise EditDoesNotFit(f"the edits together are no Python: {error}") from error
