"""Choose the pairs of mistakes to try on a wrong part, the most likely ones first."""

import itertools
from collections.abc import Iterable, Iterator, Sequence

from gpt2_small.checker.claims.judging.tolerances import ALIKE
from gpt2_small.checker.claims.observing.observation import entry_distance
from gpt2_small.checker.mistakes.lines.effects.training_lines import suggested
from gpt2_small.checker.mistakes.matching.observed_part import ObservedPart
from gpt2_small.checker.mistakes.matching.wrong_references import explained_alone
from gpt2_small.checker.mistakes.mistake import Mistake

# A pair takes about 2 milliseconds; in these parts up to 30. The numbers of pairs tried because
# of a mistake's evidence, and because they explain most observations.
_COSTLY = {
    "Transformer": (24, 16),
    "sample": (24, 16),
    "generate": (18, 12),
    "train_step": (24, 16),
    "train": (18, 12),
}
_WHERE_SEEN = (120, 60)
_WHERE_UNSEEN = (0, 600)

# The number of nearest mistakes whose pairs are tried first.
_NEAREST = 4
# The number of pairs tried of which one explains what the other does not.
_COMPLEMENTARY = 12
# The number of mistakes with the first wrong result that are paired with others.
_EVIDENT = 3

Pair = tuple[Mistake, ...]


def is_costly(part: str) -> bool:
    """Whether trying a mistake in a part is slow."""
    return part in _COSTLY


def likely_pairs(part: ObservedPart, ordered: Sequence[Mistake], key: str) -> Iterator[Pair]:
    """Pairs of the nearest mistakes, pairs with evidence, and pairs that explain most.

    Each kind has its own limit. ordered: the mistakes, nearest first. key: the failed check of the
    distances.
    """
    is_seen = part.evidence.is_recorded and not part.has_other_names
    usual = _WHERE_SEEN if is_seen else _WHERE_UNSEEN
    most_evident, most_explaining = _COSTLY.get(part.part, usual)
    tried: set[frozenset[str]] = set()
    yield from _untried(itertools.combinations(ordered[:_NEAREST], 2), tried)
    yield from itertools.islice(_untried(complementary(part, ordered, key), tried), _COMPLEMENTARY)
    evident = _evident(part)
    if not evident:
        most_explaining += most_evident
        evident = list(ordered[:1])
    yield from itertools.islice(_untried(_with_each(evident, ordered), tried), most_evident)
    explaining = _untried(_explaining(part, ordered, key), tried)
    yield from itertools.islice(explaining, most_explaining)


def complementary(part: ObservedPart, ordered: Sequence[Mistake], key: str) -> Iterator[Pair]:
    """Pairs of a mistake that explains the first failed check, and one that explains another.

    After those, pairs with one that explains single wrong entries of the next failed check.
    """
    for first in (m for m in ordered if explains_alone(part, m, key)):
        others = (name for name in part.failed_in("function") if not part.raised(name))
        left = [name for name in others if not part.explains_one((first,), name)]
        for name in left:
            yield from ((first, m) for m in ordered if explains_alone(part, m, name))
        if is_costly(part.part):
            for name in left[:1]:
                yield from ((first, m) for m in explaining_some(part, ordered, name))


def explaining_some(part: ObservedPart, ordered: Sequence[Mistake], name: str) -> list[Mistake]:
    """The mistakes with wrong entries of a check, those with most of them first."""
    seen, right = {name: part.seen[name]}, part.wrong.seen((), name)
    wrong = {
        entry
        for entry, value in seen[name].items()
        if entry_distance(value, right.get(entry), ALIKE) > 1
    }
    explained = {
        m.id: sum(entry in wrong for _, entry in explained_alone(part.wrong, m, seen))
        for m in ordered
    }
    found = [m for m in ordered if explained[m.id]]
    return sorted(found, key=lambda m: -explained[m.id])


def explains_alone(part: ObservedPart, mistake: Mistake, name: str) -> bool:
    """Whether a failed check's observation is the one of a mistake, which fails it."""
    return part.explains_one((mistake,), name) and part.wrong.fails((mistake,), name)


def _untried(pairs: Iterable[Pair], tried: set[frozenset[str]]) -> Iterator[Pair]:
    """The pairs not tried yet."""
    for pair in pairs:
        ids = frozenset(mistake.id for mistake in pair)
        if len(ids) == 2 and ids not in tried:
            tried.add(ids)
            yield pair


def _evident(part: ObservedPart) -> list[Mistake]:
    """The mistakes with evidence in the trace."""
    by_effect = suggested(part.part, part.wrong.seed, part.traces)
    return [m for m in part.known if m.id in by_effect] or part.evidence.ranked()[:_EVIDENT]


def _with_each(evident: Sequence[Mistake], ordered: Sequence[Mistake]) -> Iterator[Pair]:
    """Pairs of evident mistakes, then of each with the nearest, the next, and so on."""
    yield from itertools.combinations(evident, 2)
    for other in ordered:
        for mistake in evident:
            yield mistake, other


def _explaining(part: ObservedPart, ordered: Sequence[Mistake], key: str) -> list[Pair]:
    """All pairs, ordered by the failed checks that either mistake explains."""
    numeric = [name for name in part.failed_in("function") if not part.raised(name)]
    costs_much = part.evidence.is_recorded or is_costly(part.part)
    wanting = {name: part.seen[name] for name in ([key] if costs_much else numeric)}
    alone = [explained_alone(part.wrong, mistake, wanting) for mistake in ordered]
    ranked = sorted(
        itertools.combinations(range(len(ordered)), 2),
        key=lambda pair: (-len(alone[pair[0]] | alone[pair[1]]), sum(pair)),
    )
    return [(ordered[a], ordered[b]) for a, b in ranked]
