"""Find the results of a trace that tell nothing about the part, and are not compared."""

from gpt2_small.checker.mistakes.lines.stages.stage_matching import FEWEST
from gpt2_small.checker.sandbox.tracing import Event, Trace

# Operations whose results are constants of the size of their input.
_CONSTANTS = ("zeros_like", "ones_like", "full_like", "empty_like", "new_zeros", "new_ones",
              "new_full", "new_empty", "zero_", "fill_")  # fmt: skip
# Operations whose results are constants if their tensors are.
_KEEPING = ("to", "type", "type_as", "double", "float", "clone", "contiguous", "view", "reshape",
            "expand", "repeat", "transpose", "permute", "unsqueeze", "squeeze", "rearrange",
            "triu", "tril", "triu_", "tril_", "masked_fill", "masked_fill_")  # fmt: skip


def constants(trace: Trace) -> set[int]:
    """The results that do not depend on the data's values, as an accumulator's first value.

    Their inputs that nothing else uses are among them.
    """
    found: set[int] = set()
    users: dict[int, list[int]] = {}
    for index, event in enumerate(trace.events):
        for source in event.inputs:
            users.setdefault(source, []).append(index)
        is_kept = event.operation in _KEEPING and event.inputs and found.issuperset(event.inputs)
        if event.operation in _CONSTANTS or is_kept or _is_zero_of_data(event):
            found.add(index)
    for index in range(len(trace.events) - 1, -1, -1):
        if index in users and found.issuperset(users[index]):
            found.add(index)
    return found


def cut_off(trace: Trace) -> set[int]:
    """Of a call that raised, the last results with too few integers to be matched."""
    if trace.output is not None:
        return set()
    users: dict[int, list[int]] = {}
    for index, event in enumerate(trace.events):
        for source in event.inputs:
            users.setdefault(source, []).append(index)
    found: set[int] = set()
    for index in range(len(trace.events) - 1, -1, -1):
        value = trace.events[index].value
        is_matched = value is None or value.is_floating_point() or value.numel() >= FEWEST
        if not is_matched and found.issuperset(users.get(index, ())):
            found.add(index)
    return found


def _is_zero_of_data(event: Event) -> bool:
    """Whether it is a product of the part's input or a parameter with 0."""
    is_product = event.operation in ("mul", "__mul__", "__rmul__", "multiply", "mul_")
    return (
        is_product and not event.inputs and event.value is not None and not bool(event.value.any())
    )
