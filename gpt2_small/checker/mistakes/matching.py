"""Recognise a mistake by what it does: compare observations with those of every wrong reference."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gpt2_small.checker.claims.observation import (
    Counts,
    Estimate,
    Observation,
    alike,
    value_distance,
)
from gpt2_small.checker.mistakes.mistake import EditDoesNotFit, Mistake, catalogue, distinct
from gpt2_small.checker.mistakes.wrong_references import (
    Seen,
    WrongReferences,
    distance_to,
    explained_alone,
    explains,
    taps_apart,
    without_taps,
    wrong_references,
)

# A pair takes about 2 milliseconds, and nearly all are found among the first hundred.
MOST_PAIRS = 600


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
        wanting = {name: seen[name] for name in failed if name in seen}
        matches = list(itertools.islice(pairs(wrong, ordered, seen, wanting, order), 1))
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


def pairs(
    wrong: WrongReferences,
    known: Sequence[Mistake],
    seen: Seen,
    wanting: Seen,
    order: Sequence[str],
) -> Iterator[Candidate]:
    """Pairs of mistakes that explain what was seen, likely ones first, up to a limit.

    wanting: what the failed checks saw. Likely is a pair of which one or the other explains much of
    that by itself, entry by entry.
    """
    alone = [explained_alone(wrong, mistake, wanting) for mistake in known]
    ranked = sorted(
        itertools.combinations(range(len(known)), 2),
        key=lambda pair: (-len(alone[pair[0]] | alone[pair[1]]), sum(pair)),
    )
    for first, second in ranked[:MOST_PAIRS]:
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
    if following.distance == 0:
        return f"{text}; {following.mistakes[0].id} looks the same here, but not in other checks."
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
