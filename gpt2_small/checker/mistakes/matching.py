"""Recognise mistakes by what they do: compare observations with those of wrong references.

Checks are judged in groups (`claims.GROUPS`), each by itself and the function's first: what is
wrong with dropout or the device does not hide what is wrong with the output. Within a group a
mistake, or a pair, has to give what the file gave in every check that could observe anything.
"""

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from gpt2_small.checker.claims import GROUPS
from gpt2_small.checker.claims.judging.runner import RAISED
from gpt2_small.checker.claims.observing.observation import alike
from gpt2_small.checker.exercise_set import GPT2, ExerciseSet
from gpt2_small.checker.mistakes.edited_reference import EditDoesNotFit
from gpt2_small.checker.mistakes.evidence import Evidence
from gpt2_small.checker.mistakes.lines.effects import located
from gpt2_small.checker.mistakes.lines.training_lines import suggested
from gpt2_small.checker.mistakes.mistake import Mistake, distinct
from gpt2_small.checker.mistakes.wording import described
from gpt2_small.checker.mistakes.wrong_references import (
    Seen,
    distance_to,
    explained_alone,
    explains_finite,
    explains_one,
    taps_apart,
    wrong_references,
)
from gpt2_small.checker.sandbox.tracing import Trace

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

# Of the rows that sample is traced with, what mixes rows changes fewer, and depends on how ties are
# sorted.
_FEW_ROWS = 0.5

# Of what is wrong beside the function.
_PAIRS_BESIDE = 120

# Groups that a wrong function makes fail too.
_CONSEQUENCES = ("gradient", "dtypes", "taps")
# Groups in which a passed check excludes what fails it.
_DECISIVE = ("function", "chance", "inputs")
# Entries that are wrong when the function is, whatever the check is about.
_OF_THE_FUNCTION = ("the output", "the tokens", "the loss")
# Groups whose checks draw much; only mistakes that are about them are tried.
_COSTLY = ("dropout", "initialisation", "device")
# What a mistake's edit is about when it can make a group fail and leave the function right.
_ABOUT = {
    "gradient": r"detach|data|no_grad|requires_grad|item|buffer|Parameter|torch\.tensor|b_K",
    "state": r"Parameter|buffer|hook|ModuleList|range|self\.\w+ =|normal_|Embedding|Linear|config",
    "dropout": r"[dD]rop|train|eval|mode",
    "chance": r"generator|seed|multinomial|rand",
    "dtypes": r"float|double|dtype|half",
    "device": r"device|torch\.(ones|zeros|arange|full|tensor|tril|triu|empty|eye)|cpu",
    "initialisation": r"std|init|zeros|ones|rand|empty|xavier|kaiming|copy",
    "inputs": r"_\(|[-+*/]=|\] =|\bout=|pop|del |clear",
    "refusals": r"if |raise|n_ctx|clamp|%|finite|assert|len|numel",
    "taps": r"hook",
}  # fmt: skip


@dataclass(frozen=True)
class Naming:
    """The mistakes that explain a file, as far as they do, and what is said about the match.

    blamed: for each failed check that one of them explains, its id.
    """

    mistakes: tuple[Mistake, ...]
    text: str
    blamed: Mapping[str, str]

    def blame(self, check: str) -> str | None:
        """The id of the mistake that explains a failed check, if one does."""
        return self.blamed.get(check)


def name_mistake(
    part: str,
    seen: Seen,
    failed: Sequence[str],
    seed: int,
    traces: Mapping[str, Trace] | None = None,
    exercises: ExerciseSet = GPT2,
) -> Naming:
    """The mistakes that behave like what was seen, group by group.

    seen: by the sentence of the check. failed: the checks that do not hold. traces: of the part, by
    case.
    """
    search = _Search(part, seen, failed, seed, traces or {}, exercises)
    if not search.failed:
        return Naming((), "", {})
    for group in GROUPS:
        if search.failed_in(group):
            search.look_into(group)
    named = (*search.function, *search.beside)
    return Naming(named, search.text(), search.blamed(named))


class _Search:
    """What has been found out about a part.

    function: the mistakes that explain what it computes. is_whole: whether they do so exactly.
    beside: mistakes of other groups. unexplained: groups that fail for another reason.
    """

    def __init__(
        self,
        part: str,
        seen: Seen,
        failed: Sequence[str],
        seed: int,
        traces: Mapping[str, Trace],
        exercises: ExerciseSet,
    ) -> None:
        self.part, self.traces = part, traces
        self.wrong = wrong_references(part, seed, exercises)
        self.seen = {
            name: entries
            for name, entries in seen.items()
            if name in self.wrong.checks
            and (name in failed or not self.wrong.checks[name].optional)
        }
        self.failed = [name for name in failed if name in self.seen]
        self.known = distinct(exercises.what_can_be_named(part))
        self.evidence = Evidence(self.wrong, self.known, traces.get(""))
        self.function: tuple[Mistake, ...] = ()
        self.is_whole = True
        self.beside: list[Mistake] = []
        self.unexplained: list[str] = []
        self.is_exact = True
        self.nearest: list[tuple[Mistake, float]] = []

    def group_of(self, name: str) -> str:
        return self.wrong.checks[name].group

    def names_of(self, group: str) -> list[str]:
        names = [name for name in self.seen if self.group_of(name) == group]
        return names if self.is_whole else [name for name in names if not self.follows(name)]

    def failed_in(self, group: str) -> list[str]:
        return [name for name in self.failed if name in self.names_of(group)]

    @cached_property
    def is_finite(self) -> bool:
        """Whether what the file computes has no infinity and no NaN."""
        entries = [e for n in self.names_of("function") for e in self.seen[n].values()]
        return all(bool(e.isfinite().all()) for e in entries if isinstance(e, Tensor))

    def follows(self, name: str) -> bool:
        """Whether a check says nothing of its own while the function is wrong and unexplained."""
        return self.group_of(name) != "function" and any(
            entry.startswith(_OF_THE_FUNCTION) for entry in self.seen[name]
        )

    @property
    def has_other_names(self) -> bool:
        """Whether parameters are missing, so that no weights could be loaded."""
        missing = [name for name in self.failed_in("state") if "names and shapes" in name]
        return bool(missing)

    @property
    def is_unjudged(self) -> bool:
        """Whether nothing is known of what the file computes: it has other names, or raises."""
        failed = self.failed_in("function")
        return self.has_other_names or (bool(failed) and all(map(self.raised, failed)))

    def raised(self, name: str) -> bool:
        return RAISED in self.seen[name]

    def explains(self, mistakes: tuple[Mistake, ...], group: str) -> bool:
        """Whether the checks of a group see of these mistakes what they saw of the file.

        Where the file raised, nothing was seen; when it raised wherever it failed, the mistakes
        have to raise the same.
        """
        failed = self.failed_in(group)
        raised = [name for name in failed if self.raised(name)]
        try:
            if failed and len(raised) == len(failed):
                first = raised[0]
                if not alike(self.seen[first], self.wrong.seen(mistakes, first)):
                    return False
            numeric = [name for name in self.names_of(group) if not self.raised(name)]
            numeric.sort(key=lambda name: name not in failed)  # what differs is tried first
            return all(self._fits(mistakes, name) for name in numeric)
        except EditDoesNotFit:
            return False

    def _fits(self, mistakes: tuple[Mistake, ...], name: str) -> bool:
        if self.group_of(name) == "taps":
            return alike(self.seen[name], self.wrong.seen(mistakes, name))
        if self.group_of(name) == "gradient" and not self.is_finite:
            return True  # which gradients a NaN reaches depends on how the same is written
        return explains_one(self.wrong, mistakes, self.seen, name)

    def contradicts(self, mistakes: tuple[Mistake, ...]) -> bool:
        """Whether these mistakes fail a group of checks that the file passes."""
        passing = [g for g in GROUPS if not self.failed_in(g) and g not in ("dtypes", "taps")]
        return any(
            self.wrong.fails(mistakes, name)
            for group in passing
            for name in self.names_of(group)
            if self.wrong.checks[name].required
        )

    def left_over(self, mistakes: tuple[Mistake, ...]) -> int:
        """How many failed groups these mistakes do not explain."""
        groups = {self.group_of(name) for name in self.failed}
        return sum(not self.explains(mistakes, group) for group in groups)

    def look_into(self, group: str) -> None:
        """Explain what failed in a group, or note that it is not explained."""
        if group == "function":
            self._explain_function()
            return
        so_far = {(*self.function, *self.beside), self.function} - {()}
        if any(self.explains(mistakes, group) for mistakes in so_far):
            return
        function_failed = bool(self.failed_in("function"))
        is_open = function_failed and not (self.function and self.is_whole)
        if group in _CONSEQUENCES and is_open:
            return
        if self.has_other_names and group in (*_CONSEQUENCES, "initialisation"):
            return
        if self.has_other_names and group == "state":
            self.beside += self._beside(group)
            return
        if function_failed and all(self.raised(name) for name in self.failed_in(group)):
            return
        # That too much is accepted is one bit, and tells no mistake from another.
        found = [] if group == "refusals" and function_failed else self._beside(group)
        if found:
            self.beside += found
        elif not (group == "taps" and function_failed):
            self.unexplained.append(group)

    def _beside(self, group: str) -> list[Mistake]:
        """A mistake, or a pair, that fails this group and leaves the function as it is."""
        about = [m for m in self.known if is_about(m, group)]
        rest = [m for m in self.known if m not in about]
        numeric = [name for name in self.failed_in(group) if not self.raised(name)]
        matches = [m for m in about if self._fits_beside((m,), group)]
        if not matches and (group not in _COSTLY or self.part not in _PAIRS_OF):
            matches = [m for m in rest if self._fits_beside((m,), group)]
        if matches:
            return [min(matches, key=lambda m: self.left_over((m,)))]
        if group == "state" and self.has_other_names:
            self.is_exact = False
            return [m for m in about if "-other-name" in m.id][:1]
        if group in ("dropout", "initialisation", "state", "gradient", "taps", "chance"):
            likely = [m for m in about if self._fails_alone(m, group)]
            for pair in itertools.islice(itertools.combinations(likely, 2), _PAIRS_BESIDE):
                if self._fits_beside(pair, group):
                    return list(pair)
        for mistake in about if numeric else ():
            if self._fits((mistake,), numeric[0]) and not self._disturbs((mistake,), group):
                self.unexplained.append(group)
                return [mistake]
        return []

    def _fails_alone(self, mistake: Mistake, group: str) -> bool:
        """Whether a mistake fails one of the group's failed checks by itself."""
        return any(self.wrong.fails((mistake,), name) for name in self.failed_in(group))

    def _fits_beside(self, mistakes: tuple[Mistake, ...], group: str) -> bool:
        if self.explains(mistakes, group) and not self._disturbs(mistakes, group):
            return True
        joined = (*self.function, *mistakes)
        if not self.function or not self.is_whole or set(mistakes) & set(self.function):
            return False
        if self.explains(joined, group) and self.explains(joined, "function"):
            return True
        return self._fits_apart(mistakes, group)

    def _fits_apart(self, mistakes: tuple[Mistake, ...], group: str) -> bool:
        """Whether the function's mistakes explain what follows from it, and these the rest.

        For two edits of the same line of the reference, which cannot be made together.
        """
        names = [name for name in self.names_of(group) if not self.raised(name)]
        own = [name for name in names if not self.follows(name)]
        if not set(own) & set(self.failed):
            return False
        try:
            return (
                all(self._fits(mistakes, name) for name in own)
                and all(self._fits(self.function, name) for name in names if name not in own)
                and not self._disturbs(mistakes, group)
            )
        except EditDoesNotFit:
            return False

    def _disturbs(self, mistakes: tuple[Mistake, ...], group: str) -> bool:
        """Whether these fail what the file passes, or change the function at all."""
        passing = [name for name in self.names_of(group) if name not in self.failed]
        return self.contradicts(mistakes) or any(
            self.wrong.fails(mistakes, name)
            for name in (*passing, *self.names_of("function"))
            if self.wrong.checks[name].required
        )

    def _explain_function(self) -> None:
        key = next((n for n in self.failed_in("function") if not self.raised(n)), None)
        key = key or self.failed_in("function")[0]
        by_distance = [(m, distance_to(self.wrong, (m,), self.seen, key)) for m in self.known]
        self.nearest = sorted(by_distance, key=lambda pair: pair[1])
        ordered = [mistake for mistake, _ in self.nearest]
        matches: list[tuple[Mistake, ...]] = [
            (m,) for m in ordered if self.explains((m,), "function") and not self.contradicts((m,))
        ]
        if not matches and not self.raised(key):
            matches = list(itertools.islice(self._pairs(ordered, key), 1))
        if self.part == "sample":
            refuted = [one for one in matches if self.evidence.draws_apart(one) > _FEW_ROWS]
            matches = [one for one in matches if one not in refuted]
            ordered = [mistake for mistake in ordered if (mistake,) not in refuted]
        if matches:
            self.function = min(
                matches,
                key=lambda m: (
                    self.left_over(m),
                    self.evidence.draws_apart(m) if self.part == "sample" else 0.0,
                    taps_apart(self.wrong, m, self.seen),
                ),
            )
            return
        self.is_whole = False
        if not self.raised(key):
            self.function = self._partly(ordered, key)

    def _partly(self, ordered: Sequence[Mistake], key: str) -> tuple[Mistake, ...]:
        """What explains the first failed check alone, or else the first wrong result inside."""
        matches = [m for m in ordered if explains_one(self.wrong, (m,), self.seen, key)] or [
            m for m in ordered if explains_finite(self.wrong, (m,), self.seen, key)
        ]
        matches = [m for m in matches if self.wrong.fails((m,), key) and not self._refuted(m)]
        if matches:
            names = self.names_of("function")
            return (
                max(
                    matches,
                    key=lambda m: sum(explains_one(self.wrong, (m,), self.seen, n) for n in names),
                ),
            )
        chain = self.evidence.chain()
        if chain and not any(map(self._refuted, chain)):
            return chain
        by_effect = tuple(m for m in self._by_effect() if not self._refuted(m))
        return by_effect or self._by_raising(ordered)

    def _explained(self, mistake: Mistake) -> int:
        """How many of the function's failed checks a mistake explains by itself."""
        return sum(
            alike(self.seen[name], self.wrong.seen((mistake,), name))
            if self.raised(name)
            else explains_one(self.wrong, (mistake,), self.seen, name)
            for name in self.failed_in("function")
        )

    def _refuted(self, mistake: Mistake) -> bool:
        """Whether a mistake fails checks that the file passes, and as many as it explains.

        A guard for a special case may make up for a mistake in one of several checks.
        """
        against = sum(
            self.wrong.fails((mistake,), name)
            for name in self.seen
            if name not in self.failed
            and self.group_of(name) in _DECISIVE
            and self.wrong.checks[name].required
        )
        return bool(against) and against >= self._explained(mistake)

    def _by_raising(self, ordered: Sequence[Mistake]) -> tuple[Mistake, ...]:
        """The mistake that raises where the file raises, and explains most of what failed."""
        failed = self.failed_in("function")
        raised = next(filter(self.raised, failed), None)
        if raised is None:
            return ()
        same = [m for m in ordered if alike(self.seen[raised], self.wrong.seen((m,), raised))]
        fitting = [m for m in same if 2 * self._explained(m) > len(failed) and not self._refuted(m)]
        return (max(fitting, key=self._explained),) if fitting else ()

    def _by_effect(self) -> tuple[Mistake, ...]:
        """The mistake that does what the file is the first to do wrong, if one is known to."""
        for case, trace in self.traces.items():
            found = located(self.part, self.wrong.seed, trace, case, b"")
            if found is not None:
                return tuple(m for m in self.known if m.id == found.suggests)
        return ()

    def _pairs(self, ordered: Sequence[Mistake], key: str) -> Iterator[tuple[Mistake, ...]]:
        """Pairs of mistakes that explain the function, likely ones first, up to a limit."""
        usual = _PAIRS_WHERE_SEEN if self.evidence.is_seen else MOST_PAIRS
        limit = _PAIRS_OF.get(self.part, usual)
        for pair in itertools.islice(self._likely_pairs(ordered, key), limit):
            try:
                if self.part == "sample" and self.evidence.draws_apart(pair) > _FEW_ROWS:
                    continue
                fits = self.explains(pair, "function") and self.explains(pair, "gradient")
                if fits and not self.contradicts(pair):
                    yield pair
            except EditDoesNotFit:
                continue
            finally:
                self.wrong.forget(pair)

    def _likely_pairs(self, ordered: Sequence[Mistake], key: str) -> Iterator[tuple[Mistake, ...]]:
        """Pairs with a mistake that the trace shows; then those that explain most alone."""
        by_effect = suggested(self.part, self.wrong.seed, self.traces)
        evident = [m for m in self.known if m.id in by_effect] or self.evidence.ranked()[:2]
        evident.sort(key=lambda m: m.id not in by_effect)
        tried = set()
        for first in evident:
            for second in [*evident, *ordered]:
                pair = frozenset((first.id, second.id))
                if second is not first and pair not in tried:
                    tried.add(pair)
                    yield first, second
        numeric = [name for name in self.failed_in("function") if not self.raised(name)]
        costs_much = self.evidence.is_seen or self.part in _PAIRS_OF
        wanting = {name: self.seen[name] for name in ([key] if costs_much else numeric)}
        alone = [explained_alone(self.wrong, mistake, wanting) for mistake in ordered]
        ranked = sorted(
            itertools.combinations(range(len(ordered)), 2),
            key=lambda pair: (-len(alone[pair[0]] | alone[pair[1]]), sum(pair)),
        )
        for a, b in ranked[:_UNSEEN_PAIRS] if self.evidence.is_seen else ranked:
            if frozenset((ordered[a].id, ordered[b].id)) not in tried:
                yield ordered[a], ordered[b]

    def blamed(self, named: Sequence[Mistake]) -> dict[str, str]:
        """For each failed check a named mistake that fails it alone, all of them in turn."""
        found: dict[str, str] = {}
        used = {mistake.id: 0 for mistake in named}
        for check in self.failed:
            guilty = [m for m in named if self.wrong.fails((m,), check)]
            if guilty:
                chosen = min(guilty, key=lambda mistake: used[mistake.id])
                used[chosen.id] += 1
                found[check] = chosen.id
        return found

    def text(self) -> str:
        """What is said about the match."""
        finite = [(m, d) for m, d in self.nearest if math.isfinite(d)]
        others = [m for m, d in finite if d > 0 and m not in self.function]
        besides = [self.failed_in(group)[0] for group in self.unexplained]
        return described(
            self.part,
            self.function,
            self.beside,
            is_whole=self.is_whole,
            function_failed=bool(self.failed_in("function")) and not self.is_unjudged,
            next_closest=others[0].id if others else None,
            besides=besides,
            is_exact=self.is_exact,
        )


def is_about(mistake: Mistake, group: str) -> bool:
    """Whether a mistake's edit can make a group of checks fail while the function is right."""
    edited = " ".join(f"{old} {new}" for old, new in mistake.edits)
    return re.search(_ABOUT[group], edited) is not None
