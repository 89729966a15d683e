"""Find a mask that is not causal."""

import torch
from torch import Tensor

from gpt2_small.checker.sandbox.tracing import Event, Trace


def wrong_mask(trace: Trace, index: int) -> Event | None:
    """A square constant among a wrong result's inputs that is not a causal mask."""
    for source in trace.events[index].inputs:
        event = trace.events[source]
        if event.from_data or event.value is None or event.value.dim() < 2:
            continue
        square = event.value.reshape(-1, *event.value.shape[-2:])[0]
        if square.shape[0] != square.shape[1] or square.shape[0] == 1:
            continue
        hidden = torch.ones(square.shape, dtype=torch.bool).triu(1)
        if len(square.double().unique()) != 2 or _parts(square.double(), hidden):
            return None
        return _begin_of_mask(trace, source)
    return None


def _begin_of_mask(trace: Trace, index: int) -> Event:
    """The first constant with two values on the way to a mask that is not the causal mask."""
    event = trace.events[index]
    for source in event.inputs:
        value = trace.events[source].value
        if value is None or value.dim() < 2 or len(value.double().unique()) != 2:
            continue
        square = value.reshape(-1, *value.shape[-2:])[0].double()
        hidden = torch.ones(square.shape, dtype=torch.bool).triu(1)
        if square.shape[0] != square.shape[1] or not _parts(square, hidden):
            return _begin_of_mask(trace, source)
    return event


def _parts(square: Tensor, hidden: Tensor) -> bool:
    """Whether a matrix has one value at masked scores and another elsewhere."""
    inside, outside = square[hidden], square[~hidden]
    return bool((inside == inside[0]).all() & (outside == outside[0]).all()) and bool(
        inside[0] != outside[0]
    )
