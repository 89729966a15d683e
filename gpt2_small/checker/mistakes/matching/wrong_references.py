"""Compare a file's observations with those of wrong references."""

import math
from collections.abc import Mapping
from functools import cache
from types import ModuleType

import torch
from torch import Tensor

from gpt2_small.checker.claims import Claim
from gpt2_small.checker.claims.judging.runner import difference, observed, reference
from gpt2_small.checker.claims.judging.tolerances import ALIKE
from gpt2_small.checker.claims.observing.observation import (
    TAP,
    Observation,
    alike,
    entry_distance,
    value_distance,
)
from gpt2_small.checker.exercise_set import GPT2, ExerciseSet
from gpt2_small.checker.mistakes.edited_reference import EditDoesNotFit, build
from gpt2_small.checker.mistakes.lines.stages.reference_stages import stages, steps_of_other_styles
from gpt2_small.checker.mistakes.lines.stages.stage import fingerprint
from gpt2_small.checker.mistakes.mistake import Mistake
from gpt2_small.checker.sandbox.tracing import Trace, record

Seen = Mapping[str, Observation]


class WrongReferences:
    """Cached observations of wrong references of a part for a seed."""

    def __init__(self, part: str, seed: int, exercises: ExerciseSet = GPT2) -> None:
        self.part, self.seed, self.exercises = part, seed, exercises
        claims = exercises.claims(part)
        self.checks = {claim.name: claim for claim in claims if not claim.together}
        self._built: dict[tuple[Mistake, ...], ModuleType] = {}
        self._traces: dict[tuple[tuple[Mistake, ...], str], Trace] = {}
        self._prints: dict[tuple[Mistake, ...], Tensor] = {}
        self._seen: dict[tuple[tuple[Mistake, ...], str], Observation] = {}

    def seen(self, mistakes: tuple[Mistake, ...], check: str) -> Observation:
        """A check's observation of the reference with these mistakes.

        Raises EditDoesNotFit.
        """
        key = mistakes, check
        if key not in self._seen:
            self._seen[key] = observed(self.checks[check], self._with(mistakes), self.seed)
        return self._seen[key]

    def _with(self, mistakes: tuple[Mistake, ...]) -> ModuleType:
        if mistakes not in self._built:
            self._built[mistakes] = (
                build(*mistakes, exercises=self.exercises)
                if mistakes
                else reference(self.exercises)
            )
        return self._built[mistakes]

    def fingerprints(self, mistakes: tuple[Mistake, ...]) -> Tensor:
        """Fingerprints of the part's results [result 4]. Raises EditDoesNotFit."""
        if mistakes not in self._prints:
            events = self.trace(mistakes).events
            values = (event.value for event in events if event.from_data)
            prints = [fingerprint(value) for value in values if value is not None]
            self._prints[mistakes] = torch.tensor(prints, dtype=torch.float64).view(-1, 4)
        return self._prints[mistakes]

    def right_fingerprints(self) -> Tensor:
        """Fingerprints of right parts' intermediate results [result 4]."""
        if () not in self._prints:
            known = [stage.value for stage in stages(self.part, self.seed)]
            known += steps_of_other_styles(self.part, self.seed)
            prints = [torch.tensor([fingerprint(value) for value in known], dtype=torch.float64)]
            others = (m for m in self.exercises.mistakes(self.part) if m.equivalent)
            prints += [self.fingerprints((other,)) for other in others]
            self._prints[()] = torch.cat([each.view(-1, 4) for each in prints])
        return self._prints[()]

    def trace(self, mistakes: tuple[Mistake, ...], case: str = "") -> Trace:
        """The part's trace with these mistakes. Raises EditDoesNotFit, also if it cannot be built.

        case: one of `tracing.cases_of`.
        """
        key = mistakes, case
        if key not in self._traces:
            try:
                self._traces[key] = record(self._with(mistakes), self.part, self.seed, case)
            except Exception as error:  # edits that fit may make no sense together
                raise EditDoesNotFit(f"the edits together cannot be run: {error}") from error
        return self._traces[key]

    def forget(self, mistakes: tuple[Mistake, ...]) -> None:
        """Remove a pair from the cache, which could not hold all."""
        self._built.pop(mistakes, None)
        self._traces.pop((mistakes, ""), None)
        self._prints.pop(mistakes, None)
        for check in self.checks:
            self._seen.pop((mistakes, check), None)

    def fails(self, mistakes: tuple[Mistake, ...], check: str) -> bool:
        """Whether a check rejects these mistakes."""
        claim: Claim = self.checks[check]
        return difference(claim, self.seen(mistakes, check), self.seed, self.exercises) is not None


@cache
def wrong_references(part: str, seed: int, exercises: ExerciseSet = GPT2) -> WrongReferences:
    """The wrong references of a part, cached in the process."""
    return WrongReferences(part, seed, exercises)


def distance_to(
    wrong: WrongReferences, mistakes: tuple[Mistake, ...], seen: Seen, check: str
) -> float:
    """The largest difference of a check's numbers; infinite if not comparable."""
    try:
        other = wrong.seen(mistakes, check)
    except EditDoesNotFit:
        return math.inf
    mine = seen[check]
    if without_taps(mine).keys() != without_taps(other).keys():
        return math.inf
    fits = all(_same_kind(mine[name], other[name]) for name in mine if name in other)
    return value_distance(mine, other) if fits else math.inf


def _same_kind(a: object, b: object) -> bool:
    if isinstance(a, str) or isinstance(b, str):
        return a == b
    described = [(type(e), getattr(e, "shape", None), getattr(e, "dtype", None)) for e in (a, b)]
    return described[0] == described[1]


def without_taps(observation: Observation) -> Observation:
    return {name: e for name, e in observation.items() if not name.startswith(TAP)}


def explains_one(
    wrong: WrongReferences, mistakes: tuple[Mistake, ...], seen: Seen, name: str
) -> bool:
    """Whether a check's observations of both are equal, without taps.

    What overflows may become infinite or NaN, by the order of equal operations.
    """
    mine, theirs = (without_taps(each) for each in (seen[name], wrong.seen(mistakes, name)))
    return alike(_with_nan(mine), _with_nan(theirs))


def _with_nan(observation: Observation) -> Observation:
    """The observation with NaN for infinite numbers."""
    return {
        name: entry.nan_to_num(math.nan, math.nan, math.nan)
        if isinstance(entry, Tensor) and entry.is_floating_point()
        else entry
        for name, entry in observation.items()
    }


def explains_finite(
    wrong: WrongReferences, mistakes: tuple[Mistake, ...], seen: Seen, name: str
) -> bool:
    """Whether a check's observations of both are equal but for entries that are NaN in the file."""
    mine, theirs = without_taps(seen[name]), without_taps(wrong.seen(mistakes, name))
    finite = {n: e for n, e in mine.items() if not isinstance(e, Tensor) or e.isfinite().all()}
    if not 0 < len(finite) < len(mine) or mine.keys() != theirs.keys():
        return False
    return alike(finite, {n: theirs[n] for n in finite}) and wrong.fails(mistakes, name)


def explains_what_is_wrong(
    wrong: WrongReferences, mistakes: tuple[Mistake, ...], seen: Seen, name: str
) -> bool:
    """Whether all entries that are wrong in the file are those of a wrong reference.

    A file may make a mistake in one of several cases alone. What is wrong has to be real numbers,
    and wrong in the reference with these mistakes too.
    """
    mine, right = without_taps(seen[name]), without_taps(wrong.seen((), name))
    theirs = without_taps(wrong.seen(mistakes, name))
    if not mine.keys() == right.keys() == theirs.keys():
        return False
    differing = [n for n in mine if entry_distance(mine[n], right[n], ALIKE) > 1]
    return 0 < len(differing) < len(mine) and all(
        isinstance(mine[n], Tensor)
        and mine[n].is_floating_point()  # type: ignore[union-attr]
        and entry_distance(mine[n], theirs[n], ALIKE) <= 1
        for n in differing
    )


def explained_alone(
    wrong: WrongReferences, mistake: Mistake, seen: Seen
) -> frozenset[tuple[str, str]]:
    """The entries, with taps, that are equal in the file and this wrong reference."""
    found = set()
    for check, entries in seen.items():
        other = wrong.seen((mistake,), check)
        for name, entry in entries.items():
            if entry_distance(entry, other.get(name), ALIKE) <= 1:
                found.add((check, name))
    return frozenset(found)


def taps_apart(wrong: WrongReferences, mistakes: tuple[Mistake, ...], seen: Seen) -> int:
    """The number of checks with different taps."""
    return sum(not alike(entries, wrong.seen(mistakes, name)) for name, entries in seen.items())
