"""Define a known mistake: an edit of the reference with a message; find one by its id."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from gpt2_small.checker.parts import PARTS, import_about
from gpt2_small.errors import UserError, did_you_mean


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """A mistake in a part.

    id: kebab-case, stable, beginning with its part's subject: `layer-norm-unbiased-variance`.
    component: the part, one of `parts.PARTS`.
    old: a piece of the reference's text that occurs in it exactly once, inside the part or one of
        its helpers.
    new: its replacement.
    sentence: completes "your LayerNorm ...".
    hints: three, from a first pointer to the formula.
    also: further (old, new) edits.
    equivalent: whether the edit computes the same function, so that it must be accepted.
    same_as: id of an indistinguishable mistake; they count once.
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

    @property
    def edits(self) -> tuple[tuple[str, str], ...]:
        return ((self.old, self.new), *self.also)


@cache
def catalogue(component: str | None = None) -> tuple[Mistake, ...]:
    """All known mistakes, or a part's, with equivalent edits."""
    parts = PARTS if component is None else (component,)
    return tuple(
        mistake for part in parts for mistake in import_about(part, "mistakes.catalogue").MISTAKES
    )


def find(mistake_id: str) -> Mistake:
    """The mistake with an id. Raises UserError with the nearest."""
    by_id = {mistake.id: mistake for mistake in catalogue()}
    if mistake_id in by_id:
        return by_id[mistake_id]
    hint = did_you_mean(mistake_id, by_id, otherwise="check the name")
    raise UserError(f"there is no mistake {mistake_id!r}; {hint}")


def distinct(mistakes: Iterable[Mistake]) -> list[Mistake]:
    """The mistakes that change behaviour, indistinguishable ones once."""
    return [m for m in mistakes if not m.equivalent and m.same_as is None]
