"""Find the line of the first wrong effect of train."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace

from gpt2_small.checker.claims.judging.runner import reference
from gpt2_small.checker.mistakes.lines.effects.effect_comparison import (
    compared,
    first_unlike,
    in_words,
    line_of_call,
    of_kind,
    placed_at,
    unlike_facts,
)
from gpt2_small.checker.mistakes.lines.location import Location
from gpt2_small.checker.sandbox.tracing import Trace, record
from gpt2_small.checker.sandbox.tracing.training_effects import (
    RATES,
    TAKES,
    UPDATES,
)

# A file that passes single micro-batches may make several calls per step.
_BOTH = (
    ("train-every-micro-batch", "train-first-micro-batch"),
    ("train-first-micro-batch", "train-every-micro-batch"),
)
HANDED_ON = (
    "the micro-batches passed to train_step",
    "the step passed to train_step",
    "asks the schedule for step",
    "training mode during the step",
    "max_grad_norm of train_step",
)


def train(seed: int, trace: Trace, _case: str, source: bytes) -> Location | None:
    """The location of train's first wrong effect, if there is one."""
    right = record(reference(), "train", seed)
    return (
        _taken_ahead(trace)
        or _handed_on(trace, right)
        or _other_update(trace)
        or _wrong_rate(trace, right)
        or _late_record(trace, right)
        or unlike_facts(
            trace,
            right,
            [f"the {n} of a record" for n in ("step", "loss", "grad_norm", "learning_rate",
                                             "tokens")],
            line_of_call(source, "train", "TrainRecord"),
        )
    )  # fmt: skip


def suggested(part: str, seed: int, traces: Mapping[str, Trace]) -> list[str]:
    """The mistakes that explain some of a function's effects; of train, its calls."""
    if part != "train" or "" not in traces:
        return []
    right = record(reference(), part, seed)
    places = (_handed_on(traces[""], right, (what,)) for what in HANDED_ON)
    found = [place.suggests for place in places if place is not None and place.suggests]
    return found + [other for one, other in _BOTH if one in found]


_ASKS = "asks the schedule for step"


def _asked_once(trace: Trace) -> Trace:
    """A trace without repeated questions for the rate of one step, as a loop over groups asks."""
    asked = of_kind(trace, _ASKS)
    again = [b for a, b in itertools.pairwise(asked) if a.numbers == b.numbers]
    return replace(trace, effects=[e for e in trace.effects if not any(e is o for o in again)])


def _handed_on(trace: Trace, right: Trace, facts: Sequence[str] = HANDED_ON) -> Location | None:
    for what in facts:
        found = first_unlike(_asked_once(trace) if what == _ASKS else trace, right, what)
        if found is None:
            continue
        mine, theirs = found
        if what.startswith("training mode"):
            said = "the model is not in training mode during the step"
            is_first = mine is of_kind(trace, what)[0]
            return placed_at(mine.line, said, f"train-mode-{'not-set' if is_first else 'set-once'}")
        if what.startswith("the step that is") and mine.numbers == (-1.0,):
            return placed_at(mine.line, "train_step gets other micro-batches than the step has")
        suggests = "train-limit-forgotten" if what.startswith("max_grad_norm") else ""
        if what.startswith("asks") and theirs is not None:
            suggests = "train-next-rate" if mine.numbers[0] == theirs.numbers[0] + 1 else ""
        if what.startswith("the micro-batches") and mine.numbers == (1.0,):
            more = len(of_kind(trace, what)) > len(of_kind(right, what))
            suggests = "train-every-micro-batch" if more else "train-first-micro-batch"
        numbers = compared(mine, theirs)
        said = f"it {what} {numbers}" if what.startswith("asks") else f"{what}: {numbers}"
        return placed_at(mine.line, said, suggests)
    return None


def _taken_ahead(trace: Trace) -> Location | None:
    """The line that takes a second step from the iterable before the first one is made."""
    taken = 0
    for effect in trace.effects:
        if effect.what == "the step passed to train_step":
            return None
        taken += effect.what == TAKES
        if taken > 1:
            said = "it takes a second step from the iterable before the first one is made"
            return placed_at(effect.line, said)
    return None


def _other_update(trace: Trace) -> Location | None:
    found = of_kind(trace, UPDATES)
    return (
        placed_at(found[0].line, "it updates the weights outside of train_step") if found else None
    )


def _wrong_rate(trace: Trace, right: Trace) -> Location | None:
    """The line that set the first wrong learning rate."""
    wrong = ((what, first_unlike(trace, right, what)) for what in RATES)
    what, found = next((one for one in wrong if one[1] is not None), ("", None))
    if found is None:
        return None
    mine, theirs = found
    index = trace.effects.index(mine)
    setting = [effect.line for effect in trace.effects[:index] if effect.what == "sets"]
    later = [effect.line for effect in trace.effects[index:] if effect.what == "sets"]
    if not setting and later:
        return placed_at(later[0], "it sets the learning rate of a step after the step")
    said = f"{what} is {compared(mine, theirs)}"
    asking = of_kind(trace, "asks the schedule for step")
    if not setting and asking and trace.effects.index(asking[0]) < index:
        said = f"no group gets the schedule's rate, so {said}"
        return placed_at(asking[0].line, said)
    return placed_at(setting[-1] if setting else mine.line, said)


def _late_record(trace: Trace, right: Trace) -> Location | None:
    found = first_unlike(trace, right, "steps done when a record is yielded")
    if found is None:
        return None
    mine, theirs = found
    wanted = "" if theirs is None else f", and should come after {in_words(theirs)}"
    return placed_at(
        mine.line, f"a record is yielded when {in_words(mine)} steps were taken{wanted}"
    )
