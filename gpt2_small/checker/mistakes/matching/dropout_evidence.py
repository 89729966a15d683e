"""Compare the calls of dropout in a part's trace with those of known mistakes."""

from gpt2_small.checker.mistakes.lines.stages.reference_stages import NAMES, stages
from gpt2_small.checker.mistakes.lines.stages.stage import Stage
from gpt2_small.checker.mistakes.lines.stages.stage_matching import match
from gpt2_small.checker.mistakes.matching.wrong_references import WrongReferences
from gpt2_small.checker.mistakes.mistake import Mistake
from gpt2_small.checker.sandbox.tracing import Trace

# Operations with dropout of their own.
_DROPPING_INSIDE = ("scaled_dot_product_attention", "multi_head_attention_forward",
                    "_native_multi_head_attention")  # fmt: skip


class DropoutEvidence:
    """How often a trace calls dropout, and on which stages."""

    def __init__(self, wrong: WrongReferences, trace: Trace | None) -> None:
        self._wrong, self._trace = wrong, trace or Trace()

    @property
    def _stages(self) -> tuple[Stage, ...]:
        return stages(self._wrong.part, self._wrong.seed)

    def drops_like(self, mistake: Mistake) -> bool:
        """Whether a mistake calls dropout as often as the file.

        The output of a wrong part reveals neither a second dropout nor a dropout's place. torch's
        attention applies dropout internally.
        """
        mine, right = _dropouts(self._trace), _dropouts(self._wrong.trace(()))
        is_hidden = mine is None or ((right or 0) > 1 and mine >= (right or 0))
        if is_hidden or mine != _dropouts(self._wrong.trace((mistake,))):
            return False
        return mine != right or self._dropped(mistake) == self._dropped()

    def drops_nothing_as(self, mistake: Mistake) -> bool:
        """Whether neither the file nor the reference with a mistake calls dropout."""
        return _dropouts(self._trace) == 0 == _dropouts(self._wrong.trace((mistake,)))

    def drops_otherwise(self, mistake: Mistake) -> bool:
        """Whether a mistake leaves out a dropout that the file has, but on another result."""
        right, less = (_dropouts(self._wrong.trace(each)) for each in ((), (mistake,)))
        mine = _dropouts(self._trace)
        if mine is None or right is None or less is None or not less < right <= mine:
            return False
        known = self._stages
        events = self._trace.events
        given = [
            events[event.inputs[0]].value if event.inputs else None
            for event in events
            if event.operation == "dropout"
        ]
        return any(value is None or match(value, known) is None for value in given)

    def drops_elsewhere(self, mistake: Mistake) -> bool:
        """Whether a mistake drops as often as the file, but from other results.

        They are told apart by their sizes; torch's attention drops the pattern.
        """
        mine, wrong = self._trace, self._wrong.trace((mistake,))
        if _dropouts(mine) is None:
            right, theirs, pattern = self._dropped(), self._dropped(mistake), NAMES["pattern"]
            return len(theirs) == len(right) and pattern in right and pattern not in theirs
        is_as_often = _dropouts(mine) == _dropouts(wrong) is not None
        return is_as_often and _sizes_dropped(mine) != _sizes_dropped(wrong)

    def drops_less(self) -> bool:
        """Whether the file calls dropout less often than the reference."""
        mine, right = _dropouts(self._trace), _dropouts(self._wrong.trace(()))
        return mine is not None and mine < (right or 0)

    def dropped_in_evaluation(self, trace: Trace) -> list[str]:
        """The stages that a trace in evaluation mode applies dropout to.

        torch's attention applies it to the pattern.
        """
        known = self._stages
        found = []
        for event in trace.events:
            given = trace.events[event.inputs[0]].value if event.inputs else None
            if event.is_random and event.operation == "scaled_dot_product_attention":
                found.append(NAMES["pattern"])
            elif event.is_random:
                of = None if given is None else match(given, known)
                found.append("" if of is None else of.stage.name)
        return found

    def _dropped(self, *mistakes: Mistake) -> list[str]:
        """The stages with dropout in the reference with these mistakes."""
        known = self._stages
        events = self._wrong.trace(mistakes).events
        dropping = [e for e in events if e.operation.startswith("dropout") and e.inputs]
        given = [events[event.inputs[0]].value for event in dropping]
        found = [match(value, known) for value in given if value is not None]
        return [m.stage.name for m in found if m is not None and m.kind == "right"]


def _dropouts(trace: Trace) -> int | None:
    """The number of dropout calls; None if unknown."""
    operations = [event.operation for event in trace.events]
    return None if set(_DROPPING_INSIDE) & set(operations) else operations.count("dropout")


def _sizes_dropped(trace: Trace) -> list[int]:
    """The numbers of elements of the results of dropout, in increasing order."""
    values = (event.value for event in trace.events if event.operation == "dropout")
    return sorted(0 if value is None else value.numel() for value in values)
