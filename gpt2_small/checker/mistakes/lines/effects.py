"""Find the line where a function first does something that the reference does not do."""

from collections.abc import Callable

from gpt2_small.checker.mistakes.lines import function_lines, training_lines
from gpt2_small.checker.mistakes.lines.location import Location
from gpt2_small.checker.sandbox.tracing import Trace

Find = Callable[[int, Trace, str, bytes], Location | None]


def located(part: str, seed: int, trace: Trace, case: str, source: bytes) -> Location | None:
    """The first line of a function that does something else than the reference, if one does."""
    find = _FINDERS.get(part)
    return None if find is None else find(seed, trace, case, source)


_FINDERS: dict[str, Find] = {
    "sample": function_lines.sample,
    "generate": function_lines.generate,
    "learning_rate": function_lines.rate,
    "parameter_groups": function_lines.groups,
    "train_step": training_lines.step,
    "train": training_lines.train,
}
