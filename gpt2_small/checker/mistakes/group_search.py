"""Find the mistake that explains a failed group of checks beside a part's function."""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from gpt2_small.checker.mistakes.edited_reference import EditDoesNotFit
from gpt2_small.checker.mistakes.likely_pairs import is_costly
from gpt2_small.checker.mistakes.mistake import Mistake
from gpt2_small.checker.mistakes.observed_part import ObservedPart

# Of what is wrong beside the function.
_PAIRS_BESIDE = 120
# Groups that a wrong function makes fail too.
_CONSEQUENCES = ("gradient", "dtypes", "taps")
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
class GroupFinding:
    """What explains a failed group.

    mistakes: new ones; none where those that were found before explain it, or where it follows from
    a wrong function. is_explained: whether nothing of the group is left. is_exact: whether they
    explain what was seen to the last number.
    """

    mistakes: tuple[Mistake, ...] = ()
    is_explained: bool = True
    is_exact: bool = True


def explain_group(part: ObservedPart, group: str, beside: tuple[Mistake, ...]) -> GroupFinding:
    """The mistake, or the pair, of which a group's checks see what they saw of a part.

    beside: what explains the groups before it, the function aside.
    """
    return _GroupSearch(part, group, beside).found()


def is_about(mistake: Mistake, group: str) -> bool:
    """Whether a mistake's edit can make a group of checks fail while the function is right."""
    edited = " ".join(f"{old} {new}" for old, new in mistake.edits)
    return re.search(_ABOUT[group], edited) is not None


class _GroupSearch:
    """What is tried on a group. is_partly: whether something of it stays unexplained."""

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
        # That too much is accepted is one bit, and tells no mistake from another; and a function
        # that does something else draws otherwise.
        tells_nothing = (group == "refusals" and function_failed) or (
            group == "chance" and observed.is_open
        )
        found = () if tells_nothing else tuple(self._beside())
        if not found:
            return GroupFinding(is_explained=group == "taps" and function_failed)
        return GroupFinding(found, not self.is_partly, self.is_exact)

    def _beside(self) -> list[Mistake]:
        """A mistake, or a pair, that fails this group and leaves the function as it is."""
        group, known = self.group, self.observed.known
        if group == "dropout" and self.observed.is_open:
            known = [m for m in known if self.observed.evidence.drops_like(m)]
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
            return []
        if group in ("dropout", "initialisation", "state", "gradient", "taps", "chance"):
            likely = [m for m in about if self._fails_alone(m)]
            for pair in itertools.islice(itertools.combinations(likely, 2), _PAIRS_BESIDE):
                if self._fits_beside(pair):
                    return list(pair)
        for mistake in about if numeric else ():
            if self.observed.fits((mistake,), numeric[0]) and not self._disturbs((mistake,)):
                self.is_partly = True
                return [mistake]
        return []

    def _joined(self, mistakes: tuple[Mistake, ...]) -> tuple[Mistake, ...]:
        """These beside those of the function, where these alone do not fit."""
        observed = self.observed
        is_alone = not observed.function or observed.explains(mistakes, self.group)
        return mistakes if is_alone else (*observed.function, *mistakes)

    def _other_parameters(self, about: Sequence[Mistake]) -> list[Mistake]:
        """What changes names or shapes as the file does, whatever the part computes with them."""
        observed = self.observed
        failed = observed.failed_in("state")
        same = [m for m in about if all(observed.fits((m,), name) for name in failed)]
        if same or not observed.missing_parameters():
            return same[:1]
        return [m for m in about if "-other-name" in m.id and observed.misses_with(m)][:1]

    def _fails_alone(self, mistake: Mistake) -> bool:
        """Whether a mistake fails one of the group's failed checks by itself."""
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
        """Whether the function's mistakes explain what follows from it, and these the rest.

        For two edits of the same line of the reference, which cannot be made together.
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
        """Whether these fail what the file passes, or change the function at all."""
        passing = [
            name for name in self.observed.names_of(self.group) if name not in self.observed.failed
        ]
        return self.observed.contradicts(mistakes) or any(
            self.observed.wrong.fails(mistakes, name)
            for name in (*passing, *self.observed.names_of("function"))
            if self.observed.wrong.checks[name].required
        )
