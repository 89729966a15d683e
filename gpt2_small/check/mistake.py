"""A known mistake: an edit of the reference's text, and what to say to who made it."""

import ast
import difflib
import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from types import ModuleType

from gpt2_small import binding
from gpt2_small.check.parts import FILE_OF, PARTS
from gpt2_small.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """One way to get a part wrong.

    id: kebab-case, stable, beginning with its part's subject: `layer-norm-unbiased-variance`.
    component: the part, one of `parts.PARTS`.
    old: a piece of the reference's text that occurs in it exactly once, inside the part or one of
        its helpers.
    new: what stands there in the wrong file.
    sentence: what the learner's code does, completing "your LayerNorm ...".
    hints: three, from a nudge to the formula.
    also: further (old, new) edits, where the mistake needs more than one place.
    equivalent: the edit computes the same function and must be accepted.
    same_as: id of another mistake that no check can tell from this one; they count once.
    probe: the sentence of the check that separates it, where one was written for it.
    """

    id: str
    component: str
    old: str
    new: str
    sentence: str
    hints: tuple[str, str, str] = ("", "", "")
    also: tuple[tuple[str, str], ...] = ()
    equivalent: bool = False
    same_as: str | None = None
    probe: str | None = None

    @property
    def edits(self) -> tuple[tuple[str, str], ...]:
        return ((self.old, self.new), *self.also)


class EditDoesNotFit(ValueError):
    """A text to replace that does not stand in the reference exactly once."""


@cache
def catalogue(component: str | None = None) -> tuple[Mistake, ...]:
    """Every known mistake, or those of a part, equivalents included."""
    parts = PARTS if component is None else (component,)
    return tuple(
        mistake
        for part in parts
        for mistake in import_module(f"gpt2_small.check.mistakes.{FILE_OF[part]}").MISTAKES
    )


def find(mistake_id: str) -> Mistake:
    """The mistake of an id. Raises UserError with the nearest."""
    by_id = {mistake.id: mistake for mistake in catalogue()}
    if mistake_id in by_id:
        return by_id[mistake_id]
    near = difflib.get_close_matches(mistake_id, by_id, n=1)
    raise UserError(
        f"there is no mistake {mistake_id!r}" + (f"; did you mean {near[0]}?" if near else "")
    )


@cache
def reference_text() -> str:
    return binding.reference_path().read_text(encoding="utf-8")


@cache
def reference() -> ModuleType:
    """The reference, loaded once for everything that compares with it."""
    return binding.load(binding.reference_path())


def edited_text(*mistakes: Mistake) -> str:
    """The reference's text with the edits of these mistakes made, in the first order that fits.

    Raises EditDoesNotFit when in every order a piece to replace occurs not exactly once by then.
    """
    problem = EditDoesNotFit()
    for order in itertools.permutations(mistakes):
        try:
            return _edited_in_order(order)
        except EditDoesNotFit as error:
            problem = error
    raise problem


def _edited_in_order(mistakes: Iterable[Mistake]) -> str:
    text = reference_text()
    for mistake in mistakes:
        for old, new in mistake.edits:
            if text.count(old) != 1:
                raise EditDoesNotFit(
                    f"{mistake.id}: {old!r} occurs {text.count(old)} times in the reference"
                )
            text = text.replace(old, new)
    return text


def build(*mistakes: Mistake) -> ModuleType:
    """The reference with these mistakes in one part, and with all other parts right.

    Only the part and the helpers between the parts are run again. Raises EditDoesNotFit.
    """
    (component,) = {mistake.component for mistake in mistakes}
    text = edited_text(*mistakes)
    wrong = ModuleType("+".join(mistake.id for mistake in mistakes))
    wrong.__file__ = f"<{wrong.__name__}>"
    wrong.__dict__.update(_names(reference()))
    tree = ast.parse(text)
    tree.body = [node for node in tree.body if _is_rerun(node, component)]
    exec(compile(tree, wrong.__file__, "exec"), wrong.__dict__)
    return wrong


def _names(module: ModuleType) -> dict[str, object]:
    return {name: value for name, value in vars(module).items() if not name.startswith("__")}


def _is_rerun(node: ast.stmt, component: str) -> bool:
    """Whether a statement of the file is the part itself or no part at all."""
    name = getattr(node, "name", None)
    return name == component or (name != "TransformerConfig" and name not in PARTS)


def distinct(mistakes: Iterable[Mistake]) -> list[Mistake]:
    """Those that change behaviour, counting once what no check can tell apart."""
    return [m for m in mistakes if not m.equivalent and m.same_as is None]
