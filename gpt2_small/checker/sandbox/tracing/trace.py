"""Define traces (torch calls and effects in order), and encode them."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from safetensors.torch import load, save
from torch import Tensor

# The end of the name of an option that sample is given, and the number that stands for None.
OF_SAMPLE, NOT_GIVEN = " of sample", -1.0


@dataclass(frozen=True)
class Event:
    """A torch call, or a call of a module that is not the file's.

    line: the innermost line of the file on its call stack.
    called: the outermost one, if that is another.
    operation: the function's name.
    inputs: indices of the events whose results are its arguments.
    from_data: whether it depends on the part's input or a parameter.
    value: the result; None if it was not stored.
    is_detached: whether it has no gradient although its inputs have.
    is_random: whether it is random, as dropout is in training.
    """

    line: int
    operation: str
    inputs: tuple[int, ...]
    from_data: bool
    value: Tensor | None
    is_detached: bool = False
    is_random: bool = False
    called: int | None = None


@dataclass(frozen=True)
class Effect:
    """An effect of a function other than torch calls, or a number assigned to a variable.

    line: the file's line. what: the kind, as text. numbers: its values.
    """

    line: int
    what: str
    numbers: tuple[float, ...] = ()


@dataclass
class Trace:
    """A part's events for one input in order, with the index of the output's.

    last_lines: the last executed lines of the file, in order.
    """

    events: list[Event] = field(default_factory=list)
    output: int | None = None
    effects: list[Effect] = field(default_factory=list)
    last_lines: list[int] = field(default_factory=list)


def pack(trace: Trace) -> bytes:
    """Encode a trace as safetensors."""
    tensors = {
        str(index): event.value.to("cpu").contiguous()
        for index, event in enumerate(trace.events)
        if event.value is not None and event.value.device.type == "cpu"
    }
    events = [
        [e.line, e.operation, list(e.inputs), e.from_data, e.is_detached, e.is_random, e.called]
        for e in trace.events
    ]
    effects = [list(asdict(effect).values()) for effect in trace.effects]
    told = [trace.output, events, effects, trace.last_lines]
    return save(tensors, metadata={"trace": json.dumps(told)})


def unpack(data: bytes) -> Trace:
    """Decode `pack`'s bytes. Raises ValueError for others."""
    try:
        tensors = load(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
        output, events, effects, lines = json.loads(header["trace"])
        found = list(_events(events, tensors))
        if any(not 0 <= i < n for n, event in enumerate(found) for i in event.inputs):
            raise ValueError("an event that depends on a later one")
        return Trace(
            found,
            None if output is None else int(output) % max(len(found), 1),
            [Effect(int(n), str(what), tuple(map(float, much))) for n, what, much in effects],
            list(map(int, lines)),
        )
    except Exception as error:
        raise ValueError(f"not a trace: {error}") from error


def _events(told: Iterable[Any], tensors: dict[str, Tensor]) -> Iterable[Event]:
    for index, event in enumerate(told):
        line, operation, inputs, from_data, is_detached, is_random, called = event
        yield Event(
            int(line),
            str(operation),
            tuple(map(int, inputs)),
            bool(from_data),
            tensors.get(str(index)),
            bool(is_detached),
            bool(is_random),
            None if called is None else int(called),
        )
