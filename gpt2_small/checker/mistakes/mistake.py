"""Define a known mistake: an edit of the reference's text, and its message; find one by its id."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import import_module

from gpt2_small.checker.parts import FILE_OF, PARTS
from gpt2_small.errors import UserError, did_you_mean


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


@cache
def catalogue(component: str | None = None) -> tuple[Mistake, ...]:
    """Every known mistake, or those of a part, equivalents included."""
    parts = PARTS if component is None else (component,)
    return tuple(
        mistake
        for part in parts
        for mistake in import_module(
            f"gpt2_small.checker.mistakes.catalogue.{FILE_OF[part]}"
        ).MISTAKES
    )


def find(mistake_id: str) -> Mistake:
    """The mistake of an id. Raises UserError with the nearest."""
    by_id = {mistake.id: mistake for mistake in catalogue()}
    if mistake_id in by_id:
        return by_id[mistake_id]
    hint = did_you_mean(mistake_id, by_id, otherwise="check the name")
    raise UserError(f"there is no mistake {mistake_id!r}; {hint}")


def distinct(mistakes: Iterable[Mistake]) -> list[Mistake]:
    """Those that change behaviour, counting once what no check can tell apart."""
    return [m for m in mistakes if not m.equivalent and m.same_as is None]
