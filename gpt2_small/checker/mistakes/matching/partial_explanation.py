"""Find a mistake that explains a part's wrong output in part, where none explains it exactly."""

from collections.abc import Sequence

from gpt2_small.checker.claims.functions.sampling import NO_OPTIONS
from gpt2_small.checker.claims.observing.observation import alike
from gpt2_small.checker.mistakes.lines.effects.first_effect import does_the_same, located
from gpt2_small.checker.mistakes.lines.effects.function_lines import without_mode
from gpt2_small.checker.mistakes.matching.drawn_rows import FEW_ROWS, rows_apart
from gpt2_small.checker.mistakes.matching.observed_part import ObservedPart
from gpt2_small.checker.mistakes.matching.wrong_references import (
    explains_finite,
    explains_one,
    explains_what_is_wrong,
)
from gpt2_small.checker.mistakes.mistake import Mistake
from gpt2_small.checker.sandbox.tracing.record_part import NO_GENERATOR, draws_of

# Groups in which a passed check excludes mistakes that fail it.
_DECISIVE = ("function", "chance", "inputs")
# Mistakes that an effect identifies without other evidence.
_SHOWN = (
    "train-step-updates-each-batch",
    "train-step-updates-twice",
    "train-step-empties-its-list",
)


def explain_partly(
    part: ObservedPart, ordered: Sequence[Mistake], key: str
) -> tuple[tuple[Mistake, ...], bool]:
    """A mistake that explains the first failed check, or else the first wrong result.

    ordered: the mistakes, nearest first. key: the failed check of the distances. Also returns
    whether the mistake explains everything but a number.
    """
    return _PartialSearch(part).found(ordered, key)


class _PartialSearch:
    def __init__(self, observed: ObservedPart) -> None:
        self.observed = observed

    def found(self, ordered: Sequence[Mistake], key: str) -> tuple[tuple[Mistake, ...], bool]:
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
            and self._draws_alike(m, key)
        ]
        if matches:
            return self._most_explaining(matches), False
        other_numbers = self.observed.evidence.same_operation()
        if other_numbers is not None and not self._refuted(other_numbers):
            return (other_numbers,), True
        chain = self.observed.evidence.chain()
        if chain and not any(map(self._refuted, chain)) and self._explains_half(chain):
            return chain, False
        by_effect = tuple(m for m in self._by_effect() if m.id in _SHOWN or not self._refuted(m))
        return by_effect or self._by_raising(ordered), False

    def _draws_as_well(self, mistake: Mistake) -> bool:
        """Whether a sample that ended draws random numbers, or draws none, as the mistake does."""
        trace = self.observed.traces.get("")
        if self.observed.part != "sample" or trace is None or trace.output is None:
            return True
        return bool(draws_of(trace)) == bool(draws_of(self.observed.wrong.trace((mistake,))))

    def _draws_alike(self, mistake: Mistake, key: str) -> bool:
        """Whether sample, if it is wrong without options, has a mistake's probabilities then."""
        case = NO_GENERATOR
        trace = self.observed.traces.get(case)
        if self.observed.part != "sample" or key != NO_OPTIONS or trace is None:
            return True
        return rows_apart(trace, self.observed.wrong.trace((mistake,), case)) <= FEW_ROWS

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
