"""Find the mistake that explains a failed group of checks other than the function's."""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from gpt2_small.checker.mistakes.edited_reference import EditDoesNotFit
from gpt2_small.checker.mistakes.matching.likely_pairs import is_costly
from gpt2_small.checker.mistakes.matching.observed_part import ObservedPart
from gpt2_small.checker.mistakes.mistake import Mistake
from gpt2_small.checker.sandbox.tracing import Trace

# The largest number of mistakes outside of the function.
_PAIRS_BESIDE = 120
# Groups that fail if the function is wrong.
_CONSEQUENCES = ("gradient", "dtypes", "taps")
# Groups with many random draws; only mistakes about them are tried.
_COSTLY = ("dropout", "initialisation", "device")
# Texts in edits that can fail a group and leave the function right.
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
class GroupFinding:
    """The mistakes that explain a failed group.

    mistakes: new mistakes; none if earlier ones explain the group, or if it follows from a wrong
    function. is_explained: whether they explain the whole group. is_exact: whether they explain
    every number.
    """

    mistakes: tuple[Mistake, ...] = ()
    is_explained: bool = True
    is_exact: bool = True


def explain_group(part: ObservedPart, group: str, beside: tuple[Mistake, ...]) -> GroupFinding:
    """The mistake, or the pair, with a part's observations of a group.

    beside: the mistakes found for earlier groups, without the function's.
    """
    return _GroupSearch(part, group, beside).found()


def is_about(mistake: Mistake, group: str) -> bool:
    """Whether a mistake's edit can fail a group of checks and leave the function right."""
    edited = " ".join(f"{old} {new}" for old, new in mistake.edits)
    return re.search(_ABOUT[group], edited) is not None


class _GroupSearch:
    """The search for a group. is_partly: whether some of it remains unexplained."""

    def __init__(self, observed: ObservedPart, group: str, beside: tuple[Mistake, ...]) -> None:
        self.observed, self.group, self.beside = observed, group, beside
        self.is_exact, self.is_partly = True, False

    def found(self) -> GroupFinding:
        observed, group = self.observed, self.group
        so_far = {(*observed.function, *self.beside), observed.function} - {()}
        if any(observed.explains(mistakes, group) for mistakes in so_far):
            return GroupFinding()
        function_failed = bool(observed.failed_in("function"))
        if group in _CONSEQUENCES and observed.is_open:
            return GroupFinding()
        has_other_names = observed.has_other_names and not (
            observed.function and observed.explains(observed.function, "state")
        )
        if has_other_names and group in (*_CONSEQUENCES, "initialisation"):
            return GroupFinding()
        if has_other_names and group == "state":
            return GroupFinding(tuple(self._beside()), is_exact=self.is_exact)
        if function_failed and all(observed.raised(name) for name in observed.failed_in(group)):
            return GroupFinding()
        # A missing refusal is one bit and identifies no mistake; and a wrong function draws
        # other numbers.
        tells_nothing = (group == "refusals" and function_failed) or (
            group == "chance" and observed.is_open
        )
        found = () if tells_nothing else tuple(self._beside())
        if not found:
            return GroupFinding(is_explained=group == "taps" and function_failed)
        return GroupFinding(found, not self.is_partly, self.is_exact)

    def _beside(self) -> list[Mistake]:
        """A mistake, or a pair, that explains this group and does not change the function."""
        group, known = self.group, self.observed.known
        if group == "dropout" and self.observed.is_open:
            drops_like = self.observed.dropouts.drops_like
            known = [m for m in known if is_about(m, group) and drops_like(m)]
        if group == "dropout":
            dropouts = self.observed.dropouts
            known = [
                m for m in known if not (dropouts.drops_otherwise(m) or dropouts.drops_elsewhere(m))
            ]
        else:
            elsewhere = self.observed.dropouts.drops_elsewhere
            known = [m for m in known if not (is_about(m, "dropout") and elsewhere(m))]
        about = [m for m in known if is_about(m, group)]
        rest = [m for m in known if m not in about]
        numeric = [
            name for name in self.observed.failed_in(group) if not self.observed.raised(name)
        ]
        matches = [m for m in about if self._fits_beside((m,))]
        if not matches and (group not in _COSTLY or not is_costly(self.observed.part)):
            matches = [m for m in rest if self._fits_beside((m,))]
        if matches:
            return [min(matches, key=lambda m: self.observed.left_over(self._joined((m,))))]
        if group == "state" and self.observed.has_other_names:
            self.is_exact = False
            return self._other_parameters(about)
        if self.observed.is_open and group == "dropout":
            # Amounts depend on an unknown function; a missing call of dropout does not.
            about = about if self.observed.dropouts.drops_less() else []
        elif group in ("dropout", "initialisation", "state", "gradient", "taps", "chance"):
            likely = [m for m in about if self._fails_alone(m)]
            for pair in itertools.islice(itertools.combinations(likely, 2), _PAIRS_BESIDE):
                if self._fits_beside(pair):
                    return list(pair)
        if group == "dropout" and (active := self._active_in_evaluation(about)):
            return [active]
        is_module = self.observed.part[:1].isupper()
        if group == "dropout" and is_module and self.observed.function and self.observed.is_whole:
            # Two edits of one line cannot be combined; a trace without dropout is evidence enough.
            without = [m for m in about if self.observed.dropouts.drops_nothing_as(m)]
            if without:
                self.is_exact = False
                return without[:1]
        for mistake in about if numeric else ():
            if self.observed.fits((mistake,), numeric[0]) and not self._disturbs((mistake,)):
                self.is_partly = not (group == "dropout" and self.observed.is_open)
                return [mistake]
        return []

    def _active_in_evaluation(self, about: Sequence[Mistake]) -> Mistake | None:
        """The mistake that applies dropout to the same stages in evaluation mode.

        Its numbers may differ, because torch's attention draws others from the same seed.
        """
        dropouts, case = self.observed.dropouts, "dropout"
        mine = dropouts.dropped_in_evaluation(self.observed.traces.get(case, Trace()))
        if not mine or "" in mine:
            return None
        for mistake in about:
            trace = self.observed.wrong.trace((mistake,), case)
            if dropouts.dropped_in_evaluation(trace) == mine:
                return mistake
        return None

    def _joined(self, mistakes: tuple[Mistake, ...]) -> tuple[Mistake, ...]:
        """These mistakes, with the function's if they do not fit alone."""
        observed = self.observed
        is_alone = not observed.function or observed.explains(mistakes, self.group)
        return mistakes if is_alone else (*observed.function, *mistakes)

    def _other_parameters(self, about: Sequence[Mistake]) -> list[Mistake]:
        """The mistakes with the file's parameter names and shapes, whatever the function."""
        observed = self.observed
        failed = observed.failed_in("state")
        same = [m for m in about if all(observed.fits((m,), name) for name in failed)]
        if same or not observed.missing_parameters():
            return same[:1]
        return [m for m in about if "-other-name" in m.id and observed.renames_as(m)][:1]

    def _fails_alone(self, mistake: Mistake) -> bool:
        """Whether a mistake alone fails one of the group's failed checks."""
        return any(
            self.observed.wrong.fails((mistake,), name)
            for name in self.observed.failed_in(self.group)
        )

    def _fits_beside(self, mistakes: tuple[Mistake, ...]) -> bool:
        if self.observed.explains(mistakes, self.group) and not self._disturbs(mistakes):
            return True
        joined = (*self.observed.function, *mistakes)
        if (
            not self.observed.function
            or not self.observed.is_whole
            or set(mistakes) & set(self.observed.function)
        ):
            return False
        if (
            self.observed.explains(joined, self.group)
            and self.observed.explains(joined, "function")
            and not self.observed.contradicts(joined)
        ):
            return True
        return self._fits_apart(mistakes)

    def _fits_apart(self, mistakes: tuple[Mistake, ...]) -> bool:
        """Whether the function's mistakes explain its consequences, and these the rest.

        For two edits of one line of the reference, which cannot be combined.
        """
        names = [
            name for name in self.observed.names_of(self.group) if not self.observed.raised(name)
        ]
        own = [name for name in names if not self.observed.follows(name)]
        if not set(own) & set(self.observed.failed):
            return False
        try:
            return (
                all(self.observed.fits(mistakes, name) for name in own)
                and all(
                    self.observed.fits(self.observed.function, name)
                    for name in names
                    if name not in own
                )
                and not self._disturbs(mistakes)
            )
        except EditDoesNotFit:
            return False

    def _disturbs(self, mistakes: tuple[Mistake, ...]) -> bool:
        """Whether these mistakes fail checks that the file passes, or change the function."""
        passing = [
            name for name in self.observed.names_of(self.group) if name not in self.observed.failed
        ]
        return self.observed.contradicts(mistakes) or any(
            self.observed.wrong.fails(mistakes, name)
            for name in (*passing, *self.observed.names_of("function"))
            if self.observed.wrong.checks[name].required
        )
