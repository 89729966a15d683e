"""Combine mistakes until they explain a part's wrong output together."""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence

from torch import Tensor

from gpt2_small.checker.claims.observing.observation import Entry
from gpt2_small.checker.mistakes.edited_reference import EditDoesNotFit
from gpt2_small.checker.mistakes.matching.drawn_rows import FEW_ROWS
from gpt2_small.checker.mistakes.matching.likely_pairs import (
    complementary,
    explaining_some,
    is_costly,
    likely_pairs,
)
from gpt2_small.checker.mistakes.matching.observed_part import ObservedPart
from gpt2_small.checker.mistakes.mistake import Mistake

# The number of pairs tried after one that explains the function but not all groups.
_FURTHER_PAIRS = 20

# The numbers of pairs that are extended by a third mistake, and of mistakes tried for it.
_TRIED = 6
# The number of explanations of the first failed checks that are extended to the next one.
_BEAM = 8


class Combinations:
    """Combinations of mistakes with a part's observations of the function."""

    def __init__(self, observed: ObservedPart) -> None:
        self.observed = observed

    def explaining(self, ordered: Sequence[Mistake], key: str) -> list[tuple[Mistake, ...]]:
        """The first combinations that explain the function, of the simplest kind that has any.

        ordered: the mistakes, the nearest to the observations of the check `key` first.
        """
        return (
            self._in_right_variants(ordered, key)
            or self._pairs(ordered, key)
            or self._check_by_check(ordered)
            or self._triples(ordered, key)
        )

    def _in_right_variants(self, ordered: Sequence[Mistake], key: str) -> list[tuple[Mistake, ...]]:
        """A mistake that gives NaN, with an equivalent edit that gives a number in its place.

        Where a position sees nothing, a mask of minus infinity gives NaN; a finite one does not.
        """
        wrong = self.observed.wrong
        variants = [m for m in wrong.exercises.mistakes(wrong.part) if m.equivalent]
        giving_nan = [m for m in ordered if _has_nan(wrong.seen((m,), key))]
        for pair in itertools.product(giving_nan, variants):
            if self.is_explanation(pair):
                return [pair]
        return []

    def _pairs(self, ordered: Sequence[Mistake], key: str) -> list[tuple[Mistake, ...]]:
        """A pair of mistakes that explains the function, if possible all groups.

        Likely pairs are tried first, up to a limit.
        """
        found: list[tuple[Mistake, ...]] = []
        left = math.inf
        for pair in likely_pairs(self.observed, ordered, key):
            left -= 1
            if left < 0:
                break
            if not self.is_explanation(pair):
                continue
            if not self.observed.left_over(pair):
                return [pair]
            found.append(pair)
            left = min(left, _FURTHER_PAIRS)
        return found

    def _triples(self, ordered: Sequence[Mistake], key: str) -> list[tuple[Mistake, ...]]:
        """Three mistakes of a part with many checks, each of which changes few of them.

        The third explains the next failed check that a pair does not explain, or some of it.
        """
        observed = self.observed
        if not is_costly(observed.part) or observed.part == "sample":
            return []
        numeric = [n for n in observed.failed_in("function") if not observed.raised(n)]
        for pair in itertools.islice(complementary(observed, ordered, key), _TRIED):
            left = [name for name in numeric if not observed.explains_one(pair, name)]
            if not left or len(left) == len(numeric):
                continue
            for third in explaining_some(observed, ordered, left[0])[:_TRIED]:
                if third not in pair and self.is_explanation((*pair, third)):
                    return [(*pair, third)]
        return []

    def _check_by_check(self, ordered: Sequence[Mistake]) -> list[tuple[Mistake, ...]]:
        """Several mistakes of a schedule, added until they explain one failed check after another.

        At most two are added for a check. Trying one takes less than a millisecond, and each
        changes few checks.
        """
        if self.observed.part != "learning_rate":
            return []
        chosen: list[tuple[Mistake, ...]] = [()]
        explained: list[str] = []
        for name in self.observed.failed_in("function"):
            if self.observed.raised(name):
                continue
            explained.append(name)
            chosen = [
                longer
                for mistakes in chosen
                for longer in self._extended(mistakes, ordered, explained)
            ][:_BEAM]
        return [mistakes for mistakes in chosen if mistakes and self.is_explanation(mistakes)]

    def _extended(
        self, mistakes: tuple[Mistake, ...], ordered: Sequence[Mistake], names: Sequence[str]
    ) -> list[tuple[Mistake, ...]]:
        """The mistakes with the fewest others, up to two, that explain these checks together."""
        others = [m for m in ordered if m not in mistakes]
        for number in range(3):
            added = itertools.combinations(others, number)
            longer = [(*mistakes, *more) for more in added]
            if found := [one for one in longer if self._explains_all(one, reversed(names))]:
                return found[:_BEAM]
        return []

    def _explains_all(self, mistakes: tuple[Mistake, ...], names: Iterable[str]) -> bool:
        if all(self.observed.explains_one(mistakes, name) for name in names):
            return True
        if len(mistakes) > 1:
            self.observed.wrong.forget(mistakes)
        return False

    def is_explanation(self, pair: tuple[Mistake, ...]) -> bool:
        """Whether a pair explains the function without contradictions."""
        observed = self.observed
        found = False
        try:
            if observed.part != "sample" or observed.draws_apart(pair) <= FEW_ROWS:
                found = observed.explains(pair, "function") and not observed.contradicts(pair)
        except EditDoesNotFit:
            pass
        if not found:
            observed.wrong.forget(pair)
        return found


def _has_nan(seen: Mapping[str, Entry]) -> bool:
    return any(isinstance(entry, Tensor) and bool(entry.isnan().any()) for entry in seen.values())
