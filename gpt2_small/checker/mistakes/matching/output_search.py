"""Find the mistakes that explain a part's wrong output."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from gpt2_small.checker.claims.judging.runner import RAISED
from gpt2_small.checker.claims.observing.observation import Entry, alike
from gpt2_small.checker.mistakes.lines.effects.first_effect import (
    makes_the_same_steps,
)
from gpt2_small.checker.mistakes.matching.combinations import Combinations
from gpt2_small.checker.mistakes.matching.drawn_rows import FEW_ROWS
from gpt2_small.checker.mistakes.matching.observed_part import ObservedPart
from gpt2_small.checker.mistakes.matching.partial_explanation import explain_partly
from gpt2_small.checker.mistakes.matching.wrong_references import (
    distance_to,
    taps_apart,
)
from gpt2_small.checker.mistakes.mistake import Mistake

# Exceptions of wrong numbers or sizes, of which other code may raise another.
_OF_NUMBERS = ("RuntimeError", "ValueError", "IndexError")


@dataclass
class FunctionFinding:
    """The mistakes that explain a wrong function.

    variants: equivalent edits that the explanation needs; they have no name. is_whole: whether the
    explanation is exact. is_nothing_else: whether it is exact but for a number. ends_alike: whether
    the mistakes raise where the part does. nearest: all mistakes with their distances. from_right:
    the right part's distance.
    """

    mistakes: tuple[Mistake, ...] = ()
    variants: tuple[Mistake, ...] = ()
    is_whole: bool = True
    is_nothing_else: bool = False
    ends_alike: bool = True
    nearest: list[tuple[Mistake, float]] = field(default_factory=list)
    from_right: float = 0.0


def explain_function(part: ObservedPart) -> FunctionFinding:
    """The mistake, or the pair, with a part's observations of the function.

    Without one, a mistake that explains some of them.
    """
    return _FunctionSearch(part).found()


class _FunctionSearch:
    def __init__(self, observed: ObservedPart) -> None:
        self.observed = observed
        self.combinations = Combinations(observed)

    def found(self) -> FunctionFinding:
        key = next(
            (n for n in self.observed.failed_in("function") if not self.observed.raised(n)), None
        )
        key = key or self.observed.failed_in("function")[0]
        by_distance = [
            (m, distance_to(self.observed.wrong, (m,), self.observed.seen, key))
            for m in self.observed.known
        ]
        nearest = sorted(by_distance, key=lambda pair: pair[1])
        ordered = [mistake for mistake, _ in nearest]
        matches: list[tuple[Mistake, ...]] = [
            (m,)
            for m in ordered
            if self.observed.explains((m,), "function") and not self.observed.contradicts((m,))
        ]
        if not matches and not self.observed.raised(key):
            matches = self.combinations.explaining(ordered, key)
        if not self.observed.tells_much:
            matches = [one for one in matches if self._raises_as_well(one)]
        if self.observed.part == "train" and "" in self.observed.traces:
            matches = [one for one in matches if self._makes_the_same_steps(one)]
            ordered = [m for m in ordered if self._makes_the_same_steps((m,))]
        if self.observed.takes_no_values:
            matches = [one for one in matches if self.observed.explains(one, "state")]
        if self.observed.part == "sample":
            refuted = [one for one in matches if self.observed.draws_apart(one) > FEW_ROWS]
            matches = [one for one in matches if one not in refuted]
            ordered = [mistake for mistake in ordered if (mistake,) not in refuted]
        if matches:
            chosen = min(
                matches,
                key=lambda m: (
                    self.observed.left_over(m),
                    self.observed.draws_apart(m) if self.observed.part == "sample" else 0.0,
                    taps_apart(self.observed.wrong, m, self.observed.seen),
                ),
            )
            chosen = self._with_errors(chosen, ordered)
            mistakes = [m for m in chosen if not m.equivalent]
            mistakes.sort(key=self.observed.evidence.first_shared)
            return FunctionFinding(
                tuple(mistakes),
                variants=tuple(m for m in chosen if m.equivalent),
                ends_alike=self._ends_alike(chosen),
                nearest=nearest,
            )
        self.observed.is_whole = False
        is_unknown = self.observed.raised(key) or self.observed.has_other_names
        partly, is_nothing_else = (
            ((), False) if is_unknown else explain_partly(self.observed, ordered, key)
        )
        from_right = distance_to(self.observed.wrong, (), self.observed.seen, key)
        return FunctionFinding(
            partly,
            is_whole=False,
            is_nothing_else=is_nothing_else,
            nearest=nearest,
            from_right=from_right,
        )

    def _with_errors(
        self, mistakes: tuple[Mistake, ...], ordered: Sequence[Mistake]
    ) -> tuple[Mistake, ...]:
        """These mistakes, and the only other one that raises where the file does."""
        if self._ends_alike(mistakes):
            return mistakes
        raising = [(*mistakes, m) for m in ordered if m not in mistakes and self._ends_alike((m,))]
        found = [
            both
            for both in raising
            if self.combinations.is_explanation(both) and self._ends_alike(both)
        ]
        return found[0] if len(found) == 1 else mistakes

    def _ends_alike(self, mistakes: tuple[Mistake, ...]) -> bool:
        """Whether these mistakes raise like the file in every check in which it raises."""
        observed = self.observed
        return all(
            _are_alike(observed.seen[name][RAISED], observed.wrong.seen(mistakes, name).get(RAISED))
            for name in observed.failed_in("function")
            if observed.raised(name)
        )

    def _makes_the_same_steps(self, mistakes: tuple[Mistake, ...]) -> bool:
        """Whether train_step gets the same steps; a number of records may have several reasons."""
        observed = self.observed
        if len(observed.seen) > 1:
            return True
        return makes_the_same_steps(observed.traces[""], observed.wrong.trace(mistakes))

    def _raises_as_well(self, mistakes: tuple[Mistake, ...]) -> bool:
        """Whether these mistakes end a check with an error that the file ends so."""
        observed = self.observed
        return any(
            alike(observed.seen[name], observed.wrong.seen(mistakes, name))
            for name in observed.failed_in("function")
            if observed.raised(name)
        )


def _are_alike(error: Entry, other: Entry | None) -> bool:
    """Whether two exceptions have the same type, or are both of wrong numbers or sizes."""
    return error == other or (error in _OF_NUMBERS and other in _OF_NUMBERS)
