"""Record the result of every torch call in a part, with the line of the file that made it.

A part runs once in float64, without dropout. Nothing is judged here: the record is made where the
learner's file runs, and compared with the reference's elsewhere (`pointing`).
"""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType, ModuleType
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from gpt2_small.checker.claims import claims_of, generation, loss, probes, sampling
from gpt2_small.checker.claims.subject import Subject
from gpt2_small.checker.claims.transformer import UNTIED
from gpt2_small.checker.parts import PARTS

# A part's own forward makes some ten to a hundred calls; a loop over positions some thousand.
MOST_EVENTS = 1500
_MOST_NUMBERS = 20_000
# Both cuts cut, and a temperature that is no default.
# With and without a warm-up, and a floor that is no default.
SCHEDULES: tuple[dict[str, Any], ...] = (
    {"peak": 6.0, "warmup_steps": 7, "total_steps": 40},
    {"peak": 2.0, "warmup_steps": 0, "total_steps": 20, "final_fraction": 0.3},
)
# So that an epsilon of one's own shows.
_CHANGES: dict[str, dict[str, Any]] = {"LayerNorm": {"layer_norm_eps": 0.001}}
SAMPLING: dict[str, Any] = {"temperature": 1.7, "top_k": 4, "top_p": 0.85}


@dataclass(frozen=True)
class Event:
    """A torch call, or the call of a module that is not the file's own.

    line: the innermost line of the file that led to it.
    operation: the function's name.
    inputs: indices of the events whose results it was given.
    from_data: whether it depends on the part's input or on a parameter, so that it is no constant.
    value: the result; None when it was not kept.
    """

    line: int
    operation: str
    inputs: tuple[int, ...]
    from_data: bool
    value: Tensor | None


@dataclass
class Trace:
    """What a part did for one input: its events in order, and which gave the output."""

    events: list[Event] = field(default_factory=list)
    output: int | None = None


class Recorder(TorchFunctionMode):
    """Records calls made by lines of one file; what a stand-in does inside is one event."""

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
            # An assignment to elements gives nothing; what was assigned to is the result.
            self.note(name, (args, kwargs), args[0] if name == "__setitem__" else result)
        return result

    def note(self, operation: str, given: Any, result: Any) -> None:
        """Record what an operation gave, when a line of the file led to it."""
        line = self._line()
        if line is None or len(self.trace.events) >= MOST_EVENTS:
            return
        self._inside += 1
        inputs = list(_tensors(given))
        from_events = [self._made[id(tensor)] for tensor in inputs if id(tensor) in self._made]
        from_data = any(id(tensor) in self._data for tensor in inputs)
        from_data = from_data or any(self.trace.events[index].from_data for index in from_events)
        for value in _tensors(result):
            kept = value.detach().clone() if value.numel() <= _MOST_NUMBERS else None
            event = Event(line, operation, tuple(dict.fromkeys(from_events)), from_data, kept)
            self._made[id(value)] = len(self.trace.events)
            self._alive.append(value)
            self.trace.events.append(event)
        self._inside -= 1

    def ends_with(self, output: Any) -> None:
        """State which result is the part's output."""
        self.trace.output = self._made.get(id(output))

    def _line(self) -> int | None:
        frame: FrameType | None = sys._getframe(2)
        while frame is not None:
            if frame.f_code.co_filename == self._file:
                return frame.f_lineno
            frame = frame.f_back
        return None

    @contextmanager
    def watching(self, model: nn.Module) -> Iterator[None]:
        """Take the parts inside a model, which are the reference's, as one event each."""
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

    def _enter(self, _module: nn.Module, _given: Any) -> None:
        self._inside += 1

    def _leave(self, module: nn.Module, given: Any, result: Any) -> None:
        self._inside -= 1
        if not self._inside:
            self.note(type(module).__name__, given, result)


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _tensors(item)
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))


def record(module: ModuleType, part: str, seed: int, variant: str = "") -> Trace:
    """Run a part of a module and record it; what it had done is kept when it raises.

    variant: "untied" for a Transformer with untied embeddings.
    """
    run = _functions().get(part)
    file = str(module.__file__)
    if run is not None:
        return run(module, file, seed)
    subject = UNTIED if variant == "untied" else _subject(part)
    if subject is None:
        return Trace()
    model = subject.build(module, seed, **_CHANGES.get(part, {})).double()
    given = _input(subject, seed)
    recorder = Recorder(file, [given, *model.parameters()])
    try:
        with torch.no_grad(), recorder.watching(model), recorder:
            recorder.ends_with(model(given))
    except Exception:
        pass
    return recorder.trace


def _subject(part: str) -> Subject | None:
    if part not in PARTS:  # a lesson's
        return None
    observe = getattr(claims_of(part)[0].observe, "args", ())
    return observe[0] if observe and isinstance(observe[0], Subject) else None


def _input(subject: Subject, seed: int) -> Tensor:
    """An input; for LayerNorm one of its rows so small that epsilon counts."""
    given = subject.values(seed, "diagnosis", torch.float64)
    if subject.name == "LayerNorm":
        given[1] *= 3e-4
    return given


def _functions() -> dict[str, Callable[[ModuleType, str, int], Trace]]:
    return {
        "next_token_loss": _loss,
        "sample": _sample,
        "generate": _generate,
        "learning_rate": _learning_rate,
    }


def _loss(module: ModuleType, file: str, seed: int) -> Trace:
    logits, tokens = loss.logits(seed, "diagnosis").double(), probes.tokens(seed, "diagnosis")
    recorder = Recorder(file, [logits, tokens])
    try:
        with recorder:
            recorder.ends_with(module.next_token_loss(logits, tokens))
    except Exception:
        pass
    return recorder.trace


def _sample(module: ModuleType, file: str, seed: int) -> Trace:
    logits = sampling.cases(seed).double()
    recorder = Recorder(file, [logits])
    try:
        with recorder:
            recorder.ends_with(
                module.sample(logits, generator=probes.draws(seed, "diagnosis"), **SAMPLING)
            )
    except Exception:
        pass
    return recorder.trace


def _generate(module: ModuleType, file: str, seed: int) -> Trace:
    model = generation.model_of(module, seed).double()
    tokens = generation.prompt(seed, generation.N_CTX - 1)
    recorder = Recorder(file, [tokens])
    whole = nn.ModuleList([model])
    try:
        with recorder.watching(whole), recorder:
            recorder.ends_with(module.generate(model, tokens, 3, temperature=0))
    except Exception:
        pass
    return recorder.trace


def _learning_rate(module: ModuleType, file: str, _seed: int) -> Trace:
    """The rate of each step, with the line that returned it."""
    trace, lines = Trace(), [0]

    def note(frame: FrameType, event: str, _argument: Any) -> Any:
        if frame.f_code.co_filename != file:
            return None
        if event == "return":
            lines.append(frame.f_lineno)
        return note

    before = sys.gettrace()
    try:
        for settings in SCHEDULES:
            for step in range(settings["total_steps"] + 4):
                sys.settrace(note)
                rate = module.learning_rate(step, **settings)
                sys.settrace(before)
                value = torch.tensor(float(rate), dtype=torch.float64)
                trace.events.append(Event(lines[-1], f"step {step}", (), True, value))
    except Exception:
        pass
    finally:
        sys.settrace(before)
    return trace


def pack(trace: Trace) -> bytes:
    """A trace as safetensors bytes."""
    tensors = {
        str(index): event.value.to("cpu").contiguous()
        for index, event in enumerate(trace.events)
        if event.value is not None and event.value.device.type == "cpu"
    }
    events = [[e.line, e.operation, list(e.inputs), e.from_data] for e in trace.events]
    return save(tensors, metadata={"trace": json.dumps([trace.output, events])})


def unpack(data: bytes) -> Trace:
    """What `pack` packed. Raises ValueError for anything else."""
    try:
        tensors = load(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
        output, events = json.loads(header["trace"])
        found = [
            Event(int(line), str(operation), tuple(map(int, inputs)), bool(from_data),
                  tensors.get(str(index)))
            for index, (line, operation, inputs, from_data) in enumerate(events)
        ]  # fmt: skip
        if any(not 0 <= i < n for n, event in enumerate(found) for i in event.inputs):
            raise ValueError("an event that depends on a later one")
        return Trace(found, None if output is None else int(output) % max(len(found), 1))
    except Exception as error:
        raise ValueError(f"not a trace: {error}") from error
