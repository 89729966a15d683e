"""Find the mistake, or the pair, that explains a part's wrong output."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from gpt2_small.checker.claims.observing.observation import alike
from gpt2_small.checker.mistakes.edited_reference import EditDoesNotFit
from gpt2_small.checker.mistakes.lines.effects.first_effect import (
    does_the_same,
    located,
    makes_the_same_steps,
)
from gpt2_small.checker.mistakes.lines.effects.function_lines import without_mode
from gpt2_small.checker.mistakes.matching.drawn_rows import FEW_ROWS
from gpt2_small.checker.mistakes.matching.likely_pairs import explains_alone, likely_pairs
from gpt2_small.checker.mistakes.matching.observed_part import ObservedPart
from gpt2_small.checker.mistakes.matching.wrong_references import (
    distance_to,
    explains_finite,
    explains_one,
    explains_what_is_wrong,
    taps_apart,
)
from gpt2_small.checker.mistakes.mistake import Mistake
from gpt2_small.checker.sandbox.tracing.record_part import draws_of

# The number of pairs tried after one that explains the function but not all groups.
_FURTHER_PAIRS = 20

# The number of pairs tried beside a mistake in the warm-up of a schedule.
_TRIPLES = 400

# Groups in which a passed check excludes mistakes that fail it.
_DECISIVE = ("function", "chance", "inputs")
# Mistakes that an effect identifies without other evidence.
_SHOWN = (
    "train-step-updates-each-batch",
    "train-step-updates-twice",
    "train-step-empties-its-list",
)


@dataclass
class FunctionFinding:
    """The mistakes that explain a wrong function.

    is_whole: whether the explanation is exact. is_nothing_else: whether it is exact but for a
    number. nearest: all mistakes with their distances. from_right: the right part's distance.
    """

    mistakes: tuple[Mistake, ...] = ()
    is_whole: bool = True
    is_nothing_else: bool = False
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
        self.is_nothing_else = False

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
            matches = self._pairs(ordered, key) or self._triples(ordered, key)
        if not self.observed.tells_much:
            matches = [one for one in matches if self._raises_as_well(one)]
        if self.observed.part == "train" and "" in self.observed.traces:
            matches = [one for one in matches if self._makes_the_same_steps(one)]
            ordered = [m for m in ordered if self._makes_the_same_steps((m,))]
        if self.observed.has_other_shapes:
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
            in_order = sorted(chosen, key=self.observed.evidence.first_shared)
            return FunctionFinding(tuple(in_order), nearest=nearest)
        self.observed.is_whole = False
        is_unknown = self.observed.raised(key) or self.observed.has_other_names
        partly = () if is_unknown else self._partly(ordered, key)
        from_right = distance_to(self.observed.wrong, (), self.observed.seen, key)
        return FunctionFinding(partly, False, self.is_nothing_else, nearest, from_right)

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

    def _partly(self, ordered: Sequence[Mistake], key: str) -> tuple[Mistake, ...]:
        """A mistake that explains the first failed check, or else the first wrong result."""
        if not self.observed.tells_much:
            ordered = ()
        matches = [
            m for m in ordered if explains_one(self.observed.wrong, (m,), self.observed.seen, key)
        ]
        for explains_some in (explains_finite, explains_what_is_wrong):
            matches = matches or [
                m
                for m in ordered
                if explains_some(self.observed.wrong, (m,), self.observed.seen, key)
            ]
        matches = [
            m
            for m in matches
            if self.observed.wrong.fails((m,), key)
            and not self._refuted(m)
            and self._does_the_same(m)
            and self._draws_as_well(m)
        ]
        if matches:
            return self._most_explaining(matches)
        other_numbers = self.observed.evidence.same_operation()
        if other_numbers is not None and not self._refuted(other_numbers):
            self.is_nothing_else = True
            return (other_numbers,)
        chain = self.observed.evidence.chain()
        if chain and not any(map(self._refuted, chain)) and self._explains_half(chain):
            return chain
        by_effect = tuple(m for m in self._by_effect() if m.id in _SHOWN or not self._refuted(m))
        return by_effect or self._by_raising(ordered)

    def _draws_as_well(self, mistake: Mistake) -> bool:
        """Whether a sample that ended draws random numbers, or draws none, as the mistake does."""
        trace = self.observed.traces.get("")
        if self.observed.part != "sample" or trace is None or trace.output is None:
            return True
        return bool(draws_of(trace)) == bool(draws_of(self.observed.wrong.trace((mistake,))))

    def _does_the_same(self, mistake: Mistake) -> bool:
        """Whether generate or train makes the calls that show a mistake, as far as recorded."""
        part, wrong = self.observed.part, self.observed.wrong
        return all(
            does_the_same(part, trace, wrong.trace((mistake,), case), wrong.trace((), case))
            for case, trace in self.observed.traces.items()
            if trace.effects
        )

    def _most_explaining(self, matches: Sequence[Mistake]) -> tuple[Mistake, ...]:
        """Of mistakes that explain the same check the one that explains most checks.

        What is drawn from few tokens may be so for many reasons; of several none is named then.
        """
        observed = self.observed
        explained = {
            mistake.id: sum(
                explains_one(observed.wrong, (mistake,), observed.seen, name)
                for name in observed.names_of("function")
            )
            for mistake in matches
        }
        most = [m for m in matches if explained[m.id] == max(explained.values())]
        return () if observed.part == "sample" and len(most) > 1 else (most[0],)

    def _explained(self, mistake: Mistake) -> int:
        """The number of the function's failed checks that a mistake explains."""
        return sum(
            alike(self.observed.seen[name], self.observed.wrong.seen((mistake,), name))
            if self.observed.raised(name)
            else explains_one(self.observed.wrong, (mistake,), self.observed.seen, name)
            for name in self.observed.failed_in("function")
        )

    def _explains_half(self, chain: Sequence[Mistake]) -> bool:
        """Whether the mistakes of sample explain half of what failed; it is recorded once only."""
        failed = self.observed.failed_in("function")
        return self.observed.part != "sample" or 2 * sum(map(self._explained, chain)) >= len(failed)

    def _refuted(self, mistake: Mistake) -> bool:
        """Whether a mistake fails at least as many checks that the file passes as it explains.

        A few may pass because of a guard for a special case in the file.
        """
        against = sum(
            self.observed.wrong.fails((mistake,), name)
            for name in self.observed.seen
            if name not in self.observed.failed
            and self.observed.group_of(name) in _DECISIVE
            and self.observed.wrong.checks[name].required
        )
        return bool(against) and against >= self._explained(mistake)

    def _by_raising(self, ordered: Sequence[Mistake]) -> tuple[Mistake, ...]:
        """The mistake that raises in the same checks and explains most failures."""
        failed = self.observed.failed_in("function")
        raised = next(filter(self.observed.raised, failed), None)
        if raised is None:
            return ()
        same = [
            m
            for m in ordered
            if alike(self.observed.seen[raised], self.observed.wrong.seen((m,), raised))
        ]
        if self.observed.part == "sample":
            same = [m for m in same if self.observed.draws_apart((m,)) <= FEW_ROWS]
        fitting = [m for m in same if 2 * self._explained(m) > len(failed) and not self._refuted(m)]
        return (max(fitting, key=self._explained),) if fitting else ()

    def _by_effect(self) -> tuple[Mistake, ...]:
        """The known mistake with the file's first wrong effect."""
        part, wrong = self.observed.part, self.observed.wrong
        for case, trace in self.observed.traces.items():
            seen = without_mode(trace) if part == "generate" else trace
            found = located(part, wrong.seed, seen, case, b"")
            if found is not None:
                suggested = (m for m in self.observed.known if m.id == found.suggests)
                return tuple(
                    m
                    for m in suggested
                    if does_the_same(part, trace, wrong.trace((m,), case), wrong.trace((), case))
                )
        return ()

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
            if not self._is_explanation(pair):
                continue
            if not self.observed.left_over(pair):
                return [pair]
            found.append(pair)
            left = min(left, _FURTHER_PAIRS)
        return found

    def _triples(self, ordered: Sequence[Mistake], key: str) -> list[tuple[Mistake, ...]]:
        """Three mistakes of a schedule: one in its warm-up, and a pair after it.

        The first explains the first failed check alone, which the others pass.
        """
        if self.observed.part != "learning_rate":
            return []
        for first in (m for m in ordered if explains_alone(self.observed, m, key)):
            passing = [m for m in ordered if not self.observed.wrong.fails((m,), key)]
            for pair in itertools.islice(itertools.combinations(passing, 2), _TRIPLES):
                if self._is_explanation((first, *pair)):
                    return [(first, *pair)]
        return []

    def _is_explanation(self, pair: tuple[Mistake, ...]) -> bool:
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
