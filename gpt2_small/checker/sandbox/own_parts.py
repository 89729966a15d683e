"""Find the file's own parts that a part calls by names of theirs alone.

A part is judged with the reference's other parts. It may call more than the contract states, such
as `self.embed.attend(x)` or `self.attn(x, mask)`; then only the file's own parts work with it.
"""

import re
from collections.abc import Callable, Collection, Iterable, Sequence

from gpt2_small.checker.claims.judging.runner import RAISED, JudgedClaim
from gpt2_small.checker.verdict import Result

# The last two are run-time type checks, of an annotation `model: Transformer` for example.
_KINDS = ("AttributeError", "TypeError", "TypeCheckError", "BeartypeCallHint")
# Fields of a step's result that only the file's own train_step fills.
_RESULT_OF = {"StepResult": "train_step"}
# Errors of `super(Part, self).__init__()` where another class has the part's name.
_OLD_SUPER = re.compile(r"\bsuper\(type, obj\)")


def needed_parts(
    judged: Sequence[JudgedClaim], own: Collection[str], used: Collection[str]
) -> tuple[str, ...]:
    """The parts of the file to use in a second attempt; none if the first error names none.

    judged: the claims of the first attempt.
    own: the parts that the file defines.
    used: those that were used in the first attempt.
    """
    raised = [one for one in judged if one.result.status == "failed" and RAISED in one.seen]
    if not raised or not str(raised[0].seen[RAISED]).startswith(_KINDS):
        return ()
    message = raised[0].result.message
    named = set(re.findall(r"\w+", message))
    named |= {part for result, part in _RESULT_OF.items() if result in named}
    left = [part for part in own if part not in used]
    return tuple(left if _OLD_SUPER.search(message) else [part for part in left if part in named])


def failures(judged: Iterable[JudgedClaim]) -> int:
    """The number of claims that do not hold."""
    return sum(one.result.status != "passed" for one in judged)


class HeldResults:
    """Passes results on until one may be due to another part, and holds it and those after it."""

    def __init__(self, say: Callable[[Result], None]) -> None:
        self._say, self._is_holding = say, False

    def take(self, result: Result) -> None:
        self._is_holding |= result.status == "failed" and result.message.startswith(_KINDS)
        if not self._is_holding:
            self._say(result)

    def say(self, judged: Iterable[JudgedClaim]) -> None:
        """Pass on the final results if some were held."""
        if self._is_holding:
            for one in judged:
                self._say(one.result)
