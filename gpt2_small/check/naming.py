"""Recognise a mistake by what it does: compare observations with those of every wrong reference."""

import itertools
import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType

from gpt2_small.check.checks import Check, checks_of
from gpt2_small.check.judge import expected, look
from gpt2_small.check.mistake import EditDoesNotFit, Mistake, build, catalogue, distinct
from gpt2_small.check.observation import (
    TAP,
    Counts,
    Estimate,
    Observation,
    alike,
    first_difference,
    value_distance,
)

# A pair takes about 2 milliseconds, and most are found among the first hundred. The time is for
# machines on which so many would take very long.
MOST_PAIRS = 1500
PAIR_SECONDS = 15.0

Seen = Mapping[str, Observation]


@dataclass(frozen=True)
class Naming:
    """The mistakes that explain a file, none, one or two, and what is said about the match.

    blamed: for each failed check the mistake that explains it.
    """

    mistakes: tuple[Mistake, ...]
    text: str
    blamed: Mapping[str, str]

    def blame(self, check: str) -> str:
        """The id of the mistake that explains a failed check."""
        return self.blamed.get(check, self.mistakes[0].id)


@dataclass(frozen=True)
class Candidate:
    """Wrong references, and how far their numbers in the first failed check are from the file's."""

    mistakes: tuple[Mistake, ...]
    distance: float


class WrongReferences:
    """Observations of wrong references of a part for a seed, made when they are asked for."""

    def __init__(self, part: str, seed: int) -> None:
        self.seed = seed
        self.checks = {check.name: check for check in checks_of(part) if not check.together}
        self._built: dict[tuple[Mistake, ...], ModuleType] = {}
        self._seen: dict[tuple[tuple[Mistake, ...], str], Observation] = {}

    def seen(self, mistakes: tuple[Mistake, ...], check: str) -> Observation:
        """What a check sees of the reference with these mistakes. Raises EditDoesNotFit."""
        key = mistakes, check
        if key not in self._seen:
            if mistakes not in self._built:
                self._built[mistakes] = build(*mistakes)
            self._seen[key] = look(self.checks[check], self._built[mistakes], self.seed)[0]
        return self._seen[key]

    def forget(self, mistakes: tuple[Mistake, ...]) -> None:
        """Drop what is kept of a pair; there are too many of them."""
        self._built.pop(mistakes, None)
        for check in self.checks:
            self._seen.pop((mistakes, check), None)

    def fails(self, mistakes: tuple[Mistake, ...], check: str) -> bool:
        """Whether a check rejects these mistakes."""
        wanted: Check = self.checks[check]
        seen = self.seen(mistakes, check)
        return first_difference(seen, expected(wanted, self.seed)) is not None


_WRONG: dict[tuple[str, int], WrongReferences] = {}


def wrong_references(part: str, seed: int) -> WrongReferences:
    """The wrong references of a part, kept for the process."""
    return _WRONG.setdefault((part, seed), WrongReferences(part, seed))


def name_mistake(part: str, seen: Seen, failed: Sequence[str], seed: int) -> Naming:
    """The mistake, or the pair of mistakes, that behaves like what was seen.

    seen: by the sentence of the check. failed: the checks that do not hold.
    """
    wrong = wrong_references(part, seed)
    seen = {name: entries for name, entries in seen.items() if name in wrong.checks}
    key = key_check(seen, failed)
    if key is None:
        return Naming((), "", {})
    order = [key, *(n for n in failed if n in seen and n != key)]
    order += [name for name in seen if name not in order]

    known = distinct(catalogue(part))
    singles = sorted(
        (Candidate((m,), distance_to(wrong, (m,), seen, key)) for m in known),
        key=lambda candidate: candidate.distance,
    )
    matches = [c for c in singles if explains(wrong, c.mistakes, seen, order)]
    numeric = has_numbers(seen[key])
    if not numeric:
        matches = [c for c in matches if alike(seen[key], wrong.seen(c.mistakes, key))]
    if not matches and numeric:
        ordered = [candidate.mistakes[0] for candidate in singles]
        matches = list(itertools.islice(pairs(wrong, ordered, seen, order), 1))
    elif numeric and all(taps_apart(wrong, c.mistakes, seen) for c in matches):
        matches = [*matches, *with_a_wrong_tap(wrong, matches[0], known, seen, order)]
    if not matches:
        return Naming((), unknown(part, singles) if numeric else "", {})
    best = min(matches, key=lambda c: (taps_apart(wrong, c.mistakes, seen), c.distance))
    return Naming(
        best.mistakes,
        described(part, best, furthest(wrong, best, seen), singles),
        blamed(wrong, best.mistakes, [name for name in failed if name in seen]),
    )


def key_check(seen: Seen, failed: Sequence[str]) -> str | None:
    """The first failed check that saw numbers, or else the first."""
    usable = [name for name in failed if seen.get(name)]
    return next(iter([*filter(lambda name: has_numbers(seen[name]), usable), *usable]), None)


def has_numbers(observation: Observation) -> bool:
    """Whether anything was seen beside words."""
    return any(not isinstance(entry, str) for entry in observation.values())


def distance_to(
    wrong: WrongReferences, mistakes: tuple[Mistake, ...], seen: Seen, check: str
) -> float:
    """The largest difference of the numbers in a check; infinite when it cannot be said."""
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


def explains(
    wrong: WrongReferences, mistakes: tuple[Mistake, ...], seen: Seen, order: Iterable[str]
) -> bool:
    """Whether every check sees of the wrong reference what it saw of the file, taps aside."""
    return all(explains_one(wrong, mistakes, seen, name) for name in order) and any(
        wrong.fails(mistakes, name) for name in order
    )


def explains_one(
    wrong: WrongReferences, mistakes: tuple[Mistake, ...], seen: Seen, name: str
) -> bool:
    """Whether a check sees of the wrong reference what it saw of the file, taps aside."""
    return alike(without_taps(seen[name]), without_taps(wrong.seen(mistakes, name)))


def taps_apart(wrong: WrongReferences, mistakes: tuple[Mistake, ...], seen: Seen) -> int:
    """In how many checks the taps of the two differ."""
    return sum(not alike(entries, wrong.seen(mistakes, name)) for name, entries in seen.items())


def pairs(
    wrong: WrongReferences, known: Sequence[Mistake], seen: Seen, order: Sequence[str]
) -> Iterator[Candidate]:
    """Pairs of mistakes that explain what was seen, likely ones first, up to a limit.

    Likely is a pair of which one or the other explains many checks by itself, as two mistakes do
    that do not touch; then one of mistakes that come near in the first failed check.
    """
    deadline = time.monotonic() + PAIR_SECONDS
    alone = [frozenset(n for n in order if explains_one(wrong, (m,), seen, n)) for m in known]
    ranked = sorted(
        itertools.combinations(range(len(known)), 2),
        key=lambda pair: (-len(alone[pair[0]] | alone[pair[1]]), sum(pair)),
    )
    for first, second in ranked[:MOST_PAIRS]:
        if time.monotonic() > deadline:
            return
        pair = known[first], known[second]
        try:
            if explains(wrong, pair, seen, order):
                yield Candidate(pair, distance_to(wrong, pair, seen, order[0]))
        except EditDoesNotFit:
            continue
        finally:
            wrong.forget(pair)


def with_a_wrong_tap(
    wrong: WrongReferences,
    match: Candidate,
    known: Sequence[Mistake],
    seen: Seen,
    order: Sequence[str],
) -> Iterator[Candidate]:
    """The match together with a mistake that explains its taps too."""
    for other in known:
        pair = *match.mistakes, other
        try:
            if explains(wrong, pair, seen, order) and not taps_apart(wrong, pair, seen):
                yield Candidate(pair, match.distance)
                return
        except EditDoesNotFit:
            continue


def blamed(
    wrong: WrongReferences, mistakes: tuple[Mistake, ...], failed: Sequence[str]
) -> dict[str, str]:
    """For each failed check a mistake that fails it alone, all of them in turn where several do."""
    found: dict[str, str] = {}
    used: dict[str, int] = {mistake.id: 0 for mistake in mistakes}
    for check in failed:
        guilty = [m for m in mistakes if wrong.fails((m,), check)] or list(mistakes)
        chosen = min(guilty, key=lambda mistake: used[mistake.id])
        used[chosen.id] += 1
        found[check] = chosen.id
    return found


def furthest(wrong: WrongReferences, best: Candidate, seen: Seen) -> float:
    """The largest difference of any number that is no estimate of chance."""
    exact = {
        name: {
            key: entry
            for key, entry in without_taps(entries).items()
            if not isinstance(entry, (Counts, Estimate))
        }
        for name, entries in seen.items()
        if "bfloat16" not in name
    }
    return max(
        (value_distance(e, wrong.seen(best.mistakes, name)) for name, e in exact.items()),
        default=0.0,
    )


def described(part: str, best: Candidate, apart: float, singles: Sequence[Candidate]) -> str:
    """The match, how close it is, and how close the next best comes."""
    what = ", and it ".join(mistake.sentence.rstrip(".") for mistake in best.mistakes)
    others = [c for c in singles if not set(c.mistakes) & set(best.mistakes)]
    following = next((c for c in others if math.isfinite(c.distance)), None)
    how = "exactly" if apart == 0 else f"to {apart:.1g}"
    text = f"Your {part} {what}. All that was seen of it equals that {how}"
    if following is None:
        return f"{text}; no other known mistake comes near."
    return f"{text}; the next best, {following.mistakes[0].id}, is {following.distance:.2g} away."


def unknown(part: str, singles: Sequence[Candidate]) -> str:
    """That nothing matches, and what comes nearest."""
    if not singles or not math.isfinite(singles[0].distance):
        return f"No known mistake of {part} behaves like it."
    near = singles[0]
    return (
        f"No known mistake of {part} behaves like it; the nearest, {near.mistakes[0].id}, "
        f"is {near.distance:.2g} away."
    )
