"""Record the torch calls made by the lines of one file."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from gpt2_small.checker.parts import PARTS
from gpt2_small.checker.sandbox.tracing.trace import Event, Trace

# A part's forward makes ten to a hundred calls; with a loop over positions, some thousand.
MOST_EVENTS = 1500
_MOST_NUMBERS = 20_000


def line_in(file: str, depth: int = 1, function: str | None = None) -> int | None:
    """The innermost executing line of a file, from `depth` frames above this one.

    function: the line of this function if it is executing.
    """
    frame: FrameType | None = sys._getframe(depth)
    innermost = None
    while frame is not None:
        if frame.f_code.co_filename == file:
            innermost = innermost or frame.f_lineno
            if function in (None, frame.f_code.co_name):
                return frame.f_lineno
        frame = frame.f_back
    return innermost


def outermost_line(file: str, innermost: int) -> int | None:
    """The outermost line of a file that is being run, where it is not the innermost."""
    frame: FrameType | None = sys._getframe(2)
    line = innermost
    while frame is not None:
        if frame.f_code.co_filename == file:
            line = frame.f_lineno
        frame = frame.f_back
    return None if line == innermost else line


class CallRecorder(TorchFunctionMode):
    """Records calls made by lines of one file; a call of another module is one event."""

    def __init__(self, file: str, data: list[Tensor]) -> None:
        super().__init__()
        self.trace = Trace()
        self._file = file
        self._made: dict[int, int] = {}
        self._data = {id(tensor) for tensor in data}
        self._alive: list[Any] = list(data)
        self._inside = 0

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        if not self._inside:
            name = getattr(function, "__name__", "?")
            if name == "__get__":
                name = getattr(getattr(function, "__self__", None), "__name__", name)
            # The result of an assignment to elements is the changed tensor.
            given = args[0] if name in ("__setitem__", "backward") and args else result
            self.note(name, (args, kwargs), given, is_random=_draws(name, args, kwargs or {}))
        return result

    def note(self, operation: str, given: Any, result: Any, is_random: bool = False) -> None:
        """Record an operation's result if a line of the file called it."""
        line = line_in(self._file, depth=2)
        if line is None or len(self.trace.events) >= MOST_EVENTS:
            return
        self._inside += 1
        inputs = list(_tensors(given))
        from_events = [self._made[id(tensor)] for tensor in inputs if id(tensor) in self._made]
        from_data = any(id(tensor) in self._data for tensor in inputs)
        from_data = from_data or any(self.trace.events[index].from_data for index in from_events)
        had_gradient = any(tensor.requires_grad for tensor in inputs)
        for value in _tensors(result):
            kept = value.detach().clone() if value.numel() <= _MOST_NUMBERS else None
            is_detached = had_gradient and value.is_floating_point() and not value.requires_grad
            event = Event(line, operation, tuple(dict.fromkeys(from_events)), from_data, kept,
                          is_detached, is_random, outermost_line(self._file, line))  # fmt: skip
            self._made[id(value)] = len(self.trace.events)
            self._alive.append(value)
            self.trace.events.append(event)
        self._inside -= 1

    def made_at(self, value: Tensor, operation: str | None = None) -> int | None:
        """The line that created a tensor, with an operation of this name if one is given."""
        index = self._made.get(id(value))
        if index is None or operation not in (None, self.trace.events[index].operation):
            return None
        return self.trace.events[index].line

    def event_of(self, value: Tensor) -> Event | None:
        """The event whose result is a tensor, if it was recorded."""
        index = self._made.get(id(value))
        return None if index is None else self.trace.events[index]

    def ends_with(self, output: Any) -> None:
        """Record which result is the part's output."""
        self.trace.output = self._made.get(id(output))

    @contextmanager
    def watching(self, model: nn.Module) -> Iterator[None]:
        """In this context, record each inner part, which is the reference's, as one event."""
        handles = []
        for child in model.modules():
            if child is not model and type(child).__name__ in PARTS:
                handles.append(child.register_forward_pre_hook(self._enter))
                handles.append(child.register_forward_hook(self._leave, always_call=True))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    @contextmanager
    def pausing(self) -> Iterator[None]:
        """In this context, record nothing."""
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1

    def stop(self, *_: object) -> None:
        """Stop recording until `go_on`."""
        self._inside += 1

    def go_on(self, *_: object) -> None:
        self._inside -= 1

    def _enter(self, _module: nn.Module, _given: Any) -> None:
        self._inside += 1

    def _leave(self, module: nn.Module, given: Any, result: Any) -> None:
        self._inside -= 1
        if not self._inside:
            self.note(type(module).__name__, given, result)


def _draws(name: str, args: tuple[Any, ...], options: dict[str, Any]) -> bool:
    """Whether a call applies dropout: `dropout` in training, attention with a rate above 0."""
    if name in ("dropout", "dropout_", "alpha_dropout", "feature_dropout"):
        rate = args[1] if len(args) > 1 else options.get("p", 0.5)
        training = args[2] if len(args) > 2 else options.get("training", options.get("train", True))
        return bool(training and rate > 0)
    if name == "scaled_dot_product_attention":
        return bool((args[4] if len(args) > 4 else options.get("dropout_p", 0.0)) > 0)
    return name in ("bernoulli", "bernoulli_", "rand_like", "rand")


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _tensors(item)
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))
