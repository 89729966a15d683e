"""Find the line of a function's first effect that differs from the reference."""

from collections.abc import Callable

from gpt2_small.checker.mistakes.lines.effects import (
    function_lines,
    group_lines,
    training_lines,
    training_step_lines,
)
from gpt2_small.checker.mistakes.lines.effects.effect_comparison import of_kind
from gpt2_small.checker.mistakes.lines.location import Location
from gpt2_small.checker.sandbox.tracing import Trace

Find = Callable[[int, Trace, str, bytes], Location | None]


def located(part: str, seed: int, trace: Trace, case: str, source: bytes) -> Location | None:
    """The location of a function's first wrong effect, if there is one."""
    find = _FINDERS.get(part)
    return None if find is None else find(seed, trace, case, source)


def does_the_same(part: str, trace: Trace, wrong: Trace, right: Trace) -> bool:
    """Whether a function has all effects by which a wrong reference differs from the right one.

    Compares only calls, reads and updates, because numbers depend on other mistakes.
    """
    for what in _HANDED_ON.get(part, ()):
        theirs = [effect.numbers for effect in of_kind(wrong, what)]
        if theirs != [effect.numbers for effect in of_kind(right, what)] and theirs != [
            effect.numbers for effect in of_kind(trace, what)
        ]:
            return False
    return True


def makes_the_same_steps(trace: Trace, other: Trace) -> bool:
    """Whether train_step gets the same steps in two traces of train."""
    steps = (
        [e.numbers for e in of_kind(one, "the step passed to train_step")] for one in (trace, other)
    )
    return next(steps) == next(steps)


_HANDED_ON = {
    "generate": function_lines.HANDED_ON,
    "train": training_lines.HANDED_ON,
}
_FINDERS: dict[str, Find] = {
    "sample": function_lines.sample,
    "generate": function_lines.generate,
    "learning_rate": function_lines.rate,
    "parameter_groups": group_lines.groups,
    "train_step": training_step_lines.step,
    "train": training_lines.train,
}
