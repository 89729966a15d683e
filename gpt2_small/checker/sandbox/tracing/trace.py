"""Describe a trace: torch calls and effects in order, and their form as bytes."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from safetensors.torch import load, save
from torch import Tensor


@dataclass(frozen=True)
class Event:
    """A torch call, or the call of a module that is not the file's own.

    line: the innermost line of the file that led to it.
    operation: the function's name.
    inputs: indices of the events whose results it was given.
    from_data: whether it depends on the part's input or on a parameter, so that it is no constant.
    value: the result; None when it was not kept.
    is_detached: whether no gradient flows back through it, where one flowed to what it was given.
    is_random: whether it draws, as dropout does in training.
    """

    line: int
    operation: str
    inputs: tuple[int, ...]
    from_data: bool
    value: Tensor | None
    is_detached: bool = False
    is_random: bool = False


@dataclass(frozen=True)
class Effect:
    """Something that a function did beside torch calls, or a number that it gave a name.

    line: of the file. what: in words, the same for every file. numbers: how much.
    """

    line: int
    what: str
    numbers: tuple[float, ...] = ()


@dataclass
class Trace:
    """What a part did for one input: its events in order, and which gave the output.

    last_lines: the last lines of the file that were run, in order.
    """

    events: list[Event] = field(default_factory=list)
    output: int | None = None
    effects: list[Effect] = field(default_factory=list)
    last_lines: list[int] = field(default_factory=list)


def pack(trace: Trace) -> bytes:
    """A trace as safetensors bytes."""
    tensors = {
        str(index): event.value.to("cpu").contiguous()
        for index, event in enumerate(trace.events)
        if event.value is not None and event.value.device.type == "cpu"
    }
    events = [
        [e.line, e.operation, list(e.inputs), e.from_data, e.is_detached, e.is_random]
        for e in trace.events
    ]
    effects = [list(asdict(effect).values()) for effect in trace.effects]
    told = [trace.output, events, effects, trace.last_lines]
    return save(tensors, metadata={"trace": json.dumps(told)})


def unpack(data: bytes) -> Trace:
    """What `pack` packed. Raises ValueError for anything else."""
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
    for index, (line, operation, inputs, from_data, is_detached, is_random) in enumerate(told):
        yield Event(
            int(line),
            str(operation),
            tuple(map(int, inputs)),
            bool(from_data),
            tensors.get(str(index)),
            bool(is_detached),
            bool(is_random),
        )
