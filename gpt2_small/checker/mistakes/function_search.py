"""Find the mistake, or the pair, that explains what a part computes."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from gpt2_small.checker.claims.observing.observation import alike
from gpt2_small.checker.mistakes.drawn_rows import FEW_ROWS
from gpt2_small.checker.mistakes.edited_reference import EditDoesNotFit
from gpt2_small.checker.mistakes.lines.effects import located
from gpt2_small.checker.mistakes.lines.training_lines import suggested
from gpt2_small.checker.mistakes.mistake import Mistake
from gpt2_small.checker.mistakes.observed_part import ObservedPart
from gpt2_small.checker.mistakes.wrong_references import (
    distance_to,
    explained_alone,
    explains_finite,
    explains_one,
    taps_apart,
)

# A pair takes about 2 milliseconds; in these parts up to 30.
MOST_PAIRS = 600
_PAIRS_OF = {
    "Transformer": 40,
    "sample": 40,
    "generate": 30,
    "train_step": 40,
    "train": 30,
}
_PAIRS_WHERE_SEEN = 150

# Of a part whose inside was seen, so many pairs of which it showed neither.
_UNSEEN_PAIRS = 100

# Pairs of so many of the nearest mistakes are tried first.
_NEAREST = 4

# Groups in which a passed check excludes what fails it.
_DECISIVE = ("function", "chance", "inputs")
# Mistakes that an effect shows by itself, whatever else the checks see.
_SHOWN = (
    "train-step-updates-each-batch",
    "train-step-updates-twice",
    "train-step-empties-its-list",
)


@dataclass
class FunctionFinding:
    """What explains a wrong function.

    is_whole: whether the mistakes explain it exactly. is_nothing_else: whether they do so but for a
    number, and nothing else is wrong with it. nearest: all mistakes, with their distances.
    from_right: the distance of a right part.
    """

    mistakes: tuple[Mistake, ...] = ()
    is_whole: bool = True
    is_nothing_else: bool = False
    nearest: list[tuple[Mistake, float]] = field(default_factory=list)
    from_right: float = 0.0


def is_costly(part: str) -> bool:
    """Whether a mistake of a part takes long to try."""
    return part in _PAIRS_OF


def explain_function(part: ObservedPart) -> FunctionFinding:
    """The mistake, or the pair, of which the function's checks see what they saw of a part.

    Where there is none, what explains some of it.
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
            matches = self._pairs(ordered, key)
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
        partly = () if self.observed.raised(key) else self._partly(ordered, key)
        from_right = distance_to(self.observed.wrong, (), self.observed.seen, key)
        return FunctionFinding(partly, False, self.is_nothing_else, nearest, from_right)

    def _partly(self, ordered: Sequence[Mistake], key: str) -> tuple[Mistake, ...]:
        """What explains the first failed check alone, or else the first wrong result inside."""
        matches = [
            m for m in ordered if explains_one(self.observed.wrong, (m,), self.observed.seen, key)
        ] or [
            m
            for m in ordered
            if explains_finite(self.observed.wrong, (m,), self.observed.seen, key)
        ]
        matches = [
            m for m in matches if self.observed.wrong.fails((m,), key) and not self._refuted(m)
        ]
        if matches:
            names = self.observed.names_of("function")
            return (
                max(
                    matches,
                    key=lambda m: sum(
                        explains_one(self.observed.wrong, (m,), self.observed.seen, n)
                        for n in names
                    ),
                ),
            )
        other_numbers = self.observed.evidence.same_operation()
        if other_numbers is not None and not self._refuted(other_numbers):
            self.is_nothing_else = True
            return (other_numbers,)
        chain = self.observed.evidence.chain()
        if chain and not any(map(self._refuted, chain)):
            return chain
        by_effect = tuple(m for m in self._by_effect() if m.id in _SHOWN or not self._refuted(m))
        return by_effect or self._by_raising(ordered)

    def _explained(self, mistake: Mistake) -> int:
        """How many of the function's failed checks a mistake explains by itself."""
        return sum(
            alike(self.observed.seen[name], self.observed.wrong.seen((mistake,), name))
            if self.observed.raised(name)
            else explains_one(self.observed.wrong, (mistake,), self.observed.seen, name)
            for name in self.observed.failed_in("function")
        )

    def _refuted(self, mistake: Mistake) -> bool:
        """Whether a mistake fails checks that the file passes, and as many as it explains.

        A guard for a special case may make up for a mistake in one of several checks.
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
        """The mistake that raises where the file raises, and explains most of what failed."""
        failed = self.observed.failed_in("function")
        raised = next(filter(self.observed.raised, failed), None)
        if raised is None:
            return ()
        same = [
            m
            for m in ordered
            if alike(self.observed.seen[raised], self.observed.wrong.seen((m,), raised))
        ]
        fitting = [m for m in same if 2 * self._explained(m) > len(failed) and not self._refuted(m)]
        return (max(fitting, key=self._explained),) if fitting else ()

    def _by_effect(self) -> tuple[Mistake, ...]:
        """The mistake that does what the file is the first to do wrong, if one is known to."""
        for case, trace in self.observed.traces.items():
            found = located(self.observed.part, self.observed.wrong.seed, trace, case, b"")
            if found is not None:
                return tuple(m for m in self.observed.known if m.id == found.suggests)
        return ()

    def _pairs(self, ordered: Sequence[Mistake], key: str) -> list[tuple[Mistake, ...]]:
        """The first pair of mistakes that explains the function, and its gradient if one does.

        Likely pairs are tried first, up to a limit.
        """
        function_alone: list[tuple[Mistake, ...]] = []
        usual = _PAIRS_WHERE_SEEN if self.observed.evidence.is_seen else MOST_PAIRS
        limit = _PAIRS_OF.get(self.observed.part, usual)
        for pair in itertools.islice(self._likely_pairs(ordered, key), limit):
            try:
                if self.observed.part == "sample" and self.observed.draws_apart(pair) > FEW_ROWS:
                    continue
                if self.observed.explains(pair, "function") and not self.observed.contradicts(pair):
                    if self.observed.explains(pair, "gradient"):
                        return [pair]
                    function_alone.append(pair)
            except EditDoesNotFit:
                continue
            finally:
                self.observed.wrong.forget(pair)
        return function_alone[:1]

    def _likely_pairs(self, ordered: Sequence[Mistake], key: str) -> Iterator[tuple[Mistake, ...]]:
        """Pairs of the nearest, with a mistake that the trace shows, then that explain most."""
        by_effect = suggested(self.observed.part, self.observed.wrong.seed, self.observed.traces)
        evident = [
            m for m in self.observed.known if m.id in by_effect
        ] or self.observed.evidence.ranked()[:2]
        evident.sort(key=lambda m: m.id not in by_effect)
        tried = set()
        nearest = itertools.combinations(ordered[:_NEAREST], 2)
        shown = ((first, second) for first in evident for second in [*evident, *ordered])
        for first, second in itertools.chain(nearest, shown):
            pair = frozenset((first.id, second.id))
            if second is not first and pair not in tried:
                tried.add(pair)
                yield first, second
        numeric = [
            name for name in self.observed.failed_in("function") if not self.observed.raised(name)
        ]
        costs_much = self.observed.evidence.is_seen or self.observed.part in _PAIRS_OF
        wanting = {name: self.observed.seen[name] for name in ([key] if costs_much else numeric)}
        alone = [explained_alone(self.observed.wrong, mistake, wanting) for mistake in ordered]
        ranked = sorted(
            itertools.combinations(range(len(ordered)), 2),
            key=lambda pair: (-len(alone[pair[0]] | alone[pair[1]]), sum(pair)),
        )
        for a, b in ranked[:_UNSEEN_PAIRS] if self.observed.evidence.is_seen else ranked:
            if frozenset((ordered[a].id, ordered[b].id)) not in tried:
                yield ordered[a], ordered[b]
