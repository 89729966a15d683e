"""Name mistakes by comparing a file's observations with those of wrong references.

Failed checks are explained group by group (`claims.GROUPS`), the function first, so a mistake in
dropout or the device does not hide one in the output. Within a group a mistake, or a pair, must
have the file's observations in every check that observed anything.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from gpt2_small.checker.claims import GROUPS
from gpt2_small.checker.exercise_set import GPT2, ExerciseSet
from gpt2_small.checker.mistakes.matching.claim_group_search import explain_group
from gpt2_small.checker.mistakes.matching.observed_part import ObservedPart
from gpt2_small.checker.mistakes.matching.output_search import FunctionFinding, explain_function
from gpt2_small.checker.mistakes.matching.wording import described
from gpt2_small.checker.mistakes.matching.wrong_references import Seen
from gpt2_small.checker.mistakes.mistake import Mistake
from gpt2_small.checker.sandbox.tracing import Trace

# As a fraction of the right part's distance: a closest mistake beyond this is not reported.
_CLOSEST_REPORTED = 0.25
# In the name of a check of a refusal that depends on computed numbers, not on the input.
_FOLLOWS_FROM_NUMBERS = "FloatingPointError"


@dataclass(frozen=True)
class Naming:
    """The mistakes that explain a file, possibly in part, with sentences about the match.

    blamed: the id of the mistake that explains each failed check.
    """

    mistakes: tuple[Mistake, ...]
    text: str
    blamed: Mapping[str, str]

    def blame(self, check: str) -> str | None:
        """The id of the mistake that explains a failed check, if any."""
        return self.blamed.get(check)


def name_mistake(
    part: str,
    seen: Seen,
    failed: Sequence[str],
    seed: int,
    traces: Mapping[str, Trace] | None = None,
    exercises: ExerciseSet = GPT2,
) -> Naming:
    """The mistakes with the file's observations, group by group.

    seen: observations by check. failed: the failed checks. traces: the part's traces by case.
    """
    observed = ObservedPart(part, seen, failed, seed, traces or {}, exercises)
    if not observed.failed:
        return Naming((), "", {})
    function = FunctionFinding()
    if observed.failed_in("function"):
        function = explain_function(observed)
        observed.function = (*function.mistakes, *function.variants)
        observed.is_whole = function.is_whole
    beside: tuple[Mistake, ...] = ()
    unexplained, is_exact = [], True
    for group in GROUPS:
        if group == "function" or not observed.failed_in(group):
            continue
        found = explain_group(observed, group, beside)
        beside += found.mistakes
        is_exact = is_exact and found.is_exact
        if not found.is_explained:
            unexplained.append(group)
    needless = _needless(observed, (*function.mistakes, *beside), unexplained)
    function = replace(function, mistakes=_all_but(needless, function.mistakes))
    beside = _all_but(needless, beside)
    text = _text(observed, function, beside, unexplained, is_exact)
    named = (*function.mistakes, *beside)
    return Naming(named, text, _blamed(observed, named))


def _needless(
    observed: ObservedPart, named: tuple[Mistake, ...], unexplained: Sequence[str]
) -> Mistake | None:
    """A named mistake that is redundant: the others explain all that they explain together."""
    if len(named) < 3 or observed.is_open or observed.has_other_names:
        return None
    groups = {observed.group_of(name) for name in observed.failed} - set(unexplained)
    for mistake in named:
        others = _all_but(mistake, named)
        if all(observed.explains(others, group) for group in groups):
            return mistake
    return None


def _all_but(mistake: Mistake | None, of: tuple[Mistake, ...]) -> tuple[Mistake, ...]:
    return tuple(other for other in of if other is not mistake)


def _blamed(observed: ObservedPart, named: Sequence[Mistake]) -> dict[str, str]:
    """For each failed check, a named mistake that fails it alone."""
    found: dict[str, str] = {}
    used = {mistake.id: 0 for mistake in named}
    for check in observed.failed:
        guilty = [m for m in named if observed.wrong.fails((m,), check)]
        if guilty:
            chosen = min(guilty, key=lambda mistake: used[mistake.id])
            used[chosen.id] += 1
            found[check] = chosen.id
    return found


def _unexplained(observed: ObservedPart, group: str, beside: Sequence[Mistake]) -> str | None:
    """The first failed check of a group that no named mistake explains; None without one."""
    function = observed.function
    for check in observed.failed_in(group):
        in_place = function if group == "inputs" else ()
        if any(observed.wrong.fails((m,), check) for m in (*in_place, *beside)):
            continue
        if not (function and observed.explains_one(function, check)):
            return check
    return None


def _accepted(observed: ObservedPart, is_open: bool) -> str | None:
    """What bad input the part accepts, in words; None if it refuses it, or nobody can tell."""
    for check in observed.failed_in("refusals"):
        wanted = observed.wrong.seen((), check)
        if observed.raised(check) or (is_open and _FOLLOWS_FROM_NUMBERS in check):
            continue
        for name, right in wanted.items():
            seen = observed.seen[check].get(name, right)
            if not isinstance(seen, str) or not isinstance(right, str):
                continue  # the weights that a refused call leaves
            promised = str(right).removeprefix("refused with ")
            if seen == "accepted":
                return f"It also accepts {name}; it should raise {promised}."
            if seen != right:
                other = str(seen).removeprefix("refused with ")
                return f"It also refuses {name} with {other}; it should raise {promised}."
    return None


def _changes_function(observed: ObservedPart, mistake: Mistake) -> bool:
    """Whether a mistake fails what the part fails of its function, as one of names does not."""
    return any(observed.wrong.fails((mistake,), name) for name in observed.failed_in("function"))


def _text(
    observed: ObservedPart,
    function: FunctionFinding,
    beside: Sequence[Mistake],
    unexplained: Sequence[str],
    is_exact: bool,
) -> str:
    """Sentences about the match."""
    finite = [(m, d) for m, d in function.nearest if math.isfinite(d)]
    is_unknown = not (function.mistakes and function.is_whole)
    most = _CLOSEST_REPORTED * function.from_right if is_unknown else math.inf
    others = (m for m, d in finite if 0 < d <= most and m not in function.mistakes)
    next_closest = next((m.id for m in others if _changes_function(observed, m)), None)
    open_groups = [group for group in unexplained if group != "refusals"]
    found = (_unexplained(observed, group, beside) for group in open_groups)
    besides = list(filter(None, found))
    return described(
        observed.part,
        function.mistakes,
        beside,
        is_whole=function.is_whole and function.ends_alike,
        function_failed=bool(observed.failed_in("function")) and not observed.is_unjudged,
        next_closest=next_closest,
        besides=besides,
        is_exact=is_exact and len(besides) == len(open_groups),
        is_nothing_else=function.is_nothing_else,
        accepts=_accepted(observed, is_unknown) if "refusals" in unexplained else None,
        is_gate=any(observed.wrong.checks[name].gate for name in observed.failed),
    )
