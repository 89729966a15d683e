"""Continue the reference from a file's results, to check the rest of the file."""

from collections.abc import Iterable

from torch import Tensor, nn

from gpt2_small.checker.claims.judging.runner import reference
from gpt2_small.checker.mistakes.lines.stages.stage import same
from gpt2_small.checker.sandbox.tracing import Trace, model_and_input


def confined(part: str, seed: int, trace: Trace, results: Iterable[int]) -> list[int]:
    """The results of a trace after which the rest is right.

    With such a result in place of an activation, the reference gives the trace's output.

    results: the events to try.
    """
    output = None if trace.output is None else trace.events[trace.output].value
    built = model_and_input(reference(), part, seed)
    if output is None or built is None:
        return []
    model, given = built
    taps = [module for name, module in model.named_children() if name.startswith("hook_")]
    found = []
    for index in results:
        value = trace.events[index].value
        if value is not None and any(
            same(continued.double(), output.double())
            for tap in taps
            if (continued := _continued(model, given, tap, value)) is not None
        ):
            found.append(index)
    return found


def has_taps(part: str, seed: int) -> bool:
    """Whether activations of a part can be replaced."""
    built = model_and_input(reference(), part, seed)
    return built is not None and any(
        name.startswith("hook_") for name, _ in built[0].named_children()
    )


def _continued(model: nn.Module, given: Tensor, tap: nn.Module, value: Tensor) -> Tensor | None:
    """The model's output with a tap's activation replaced; None if shapes differ."""
    shapes = []

    def replace(_module: nn.Module, _given: object, activation: Tensor) -> Tensor:
        shapes.append(activation.shape)
        return value if activation.shape == value.shape else activation

    handle = tap.register_forward_hook(replace)
    try:
        output: Tensor = model(given).detach()
    finally:
        handle.remove()
    return output if value.shape in shapes else None
