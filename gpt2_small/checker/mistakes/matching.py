"""Recognise mistakes by what they do: compare observations with those of wrong references.

Checks are judged in groups (`claims.GROUPS`), each by itself and the function's first: what is
wrong with dropout or the device does not hide what is wrong with the output. Within a group a
mistake, or a pair, has to give what the file gave in every check that could observe anything.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from gpt2_small.checker.claims import GROUPS
from gpt2_small.checker.exercise_set import GPT2, ExerciseSet
from gpt2_small.checker.mistakes.function_search import FunctionFinding, explain_function
from gpt2_small.checker.mistakes.group_search import explain_group
from gpt2_small.checker.mistakes.mistake import Mistake
from gpt2_small.checker.mistakes.observed_part import ObservedPart
from gpt2_small.checker.mistakes.wording import described
from gpt2_small.checker.mistakes.wrong_references import Seen
from gpt2_small.checker.sandbox.tracing import Trace

# Of the distance of a right part: where no mistake is so close, the closest says nothing.
_CLOSE = 0.25


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
    observed = ObservedPart(part, seen, failed, seed, traces or {}, exercises)
    if not observed.failed:
        return Naming((), "", {})
    function = FunctionFinding()
    if observed.failed_in("function"):
        function = explain_function(observed)
        observed.function, observed.is_whole = function.mistakes, function.is_whole
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
    """One of several mistakes without which the others explain all that they explain together.

    What explains one group may make up a part of what explains another.
    """
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
    """For each failed check a named mistake that fails it alone, all of them in turn."""
    found: dict[str, str] = {}
    used = {mistake.id: 0 for mistake in named}
    for check in observed.failed:
        guilty = [m for m in named if observed.wrong.fails((m,), check)]
        if guilty:
            chosen = min(guilty, key=lambda mistake: used[mistake.id])
            used[chosen.id] += 1
            found[check] = chosen.id
    return found


def _is_in_place(observed: ObservedPart, group: str, named: Sequence[Mistake]) -> bool:
    """Whether a named mistake changes the input in place, too, if not in the same way."""
    failed = observed.failed_in(group)
    return group == "inputs" and any(observed.wrong.fails((m,), failed[0]) for m in named)


def _text(
    observed: ObservedPart,
    function: FunctionFinding,
    beside: Sequence[Mistake],
    unexplained: Sequence[str],
    is_exact: bool,
) -> str:
    """What is said about the match."""
    finite = [(m, d) for m, d in function.nearest if math.isfinite(d)]
    is_unknown = not (function.mistakes and function.is_whole)
    most = _CLOSE * function.from_right if is_unknown else math.inf
    others = [m for m, d in finite if 0 < d <= most and m not in function.mistakes]
    named = (*function.mistakes, *beside)
    open_groups = [group for group in unexplained if group != "refusals"]
    besides = [
        observed.failed_in(group)[0]
        for group in open_groups
        if not _is_in_place(observed, group, named)
    ]
    return described(
        observed.part,
        function.mistakes,
        beside,
        is_whole=function.is_whole,
        function_failed=bool(observed.failed_in("function")) and not observed.is_unjudged,
        next_closest=others[0].id if others else None,
        besides=besides,
        is_exact=is_exact and len(besides) == len(open_groups),
        is_nothing_else=function.is_nothing_else,
        accepts=observed.failed_in("refusals")[0] if "refusals" in unexplained else None,
    )
