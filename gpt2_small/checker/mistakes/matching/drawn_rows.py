"""Compare the probabilities in two traces of sample, row by row."""

import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from gpt2_small.checker.claims.judging.tolerances import EFFECTS
from gpt2_small.checker.sandbox.tracing import Trace

# A smaller share may come from ties, which are sorted differently, in code that mixes rows.
FEW_ROWS = 0.5


def rows_apart(trace: Trace, other: Trace) -> float:
    """The share of rows with different probabilities in two traces.

    Probabilities distinguish a temperature from its root; a thousand draws do not. The share is 1
    if only one trace has invalid probabilities in some row.
    """
    mine, theirs = _drawn_from(trace), _drawn_from(other)
    if _are_logits(mine) != _are_logits(theirs) and mine is not None and theirs is not None:
        return 1.0
    if mine is None or theirs is None or _are_logits(mine):
        return 0.0
    mine, theirs = map(_sorted, (mine, theirs))
    if trace.output is None:  # some rows may have no draw
        theirs = theirs[: len(mine)]
    if len(theirs) != len(mine) or bool((mine[:, 0].isnan() != theirs[:, 0].isnan()).any()):
        return 1.0
    width = max(mine.shape[1], theirs.shape[1])
    mine, theirs = (F.pad(p, (0, width - p.shape[1])) for p in (mine, theirs))
    return float(((mine - theirs).abs().amax(dim=-1) >= EFFECTS).double().mean())


def draws_from_the_same(trace: Trace, other: Trace) -> bool:
    """Whether the probabilities of both traces are known, and equal in every row."""
    both = _drawn_from(trace), _drawn_from(other)
    is_known = all(value is not None and not _are_logits(value) for value in both)
    return is_known and rows_apart(trace, other) == 0


def draws_from_logits(trace: Trace) -> bool:
    """Whether a draw in a trace raised, or is from numbers that are no probabilities."""
    return _are_logits(_drawn_from(trace))


def _are_logits(value: Tensor | None) -> bool:
    """Whether numbers are no probabilities, because one is negative."""
    return value is not None and bool((value < 0).any())


def _sorted(value: Tensor) -> Tensor:
    """Probabilities with each row sorted; an invalid row is NaN."""
    return (value / value.sum(dim=-1, keepdim=True)).sort(dim=-1, descending=True).values.double()


def _drawn_from(trace: Trace) -> Tensor | None:
    """The first draw's probabilities, or logits; None if there are none.

    Of draws row by row they are those of all. If the draw raised, the last numbers count.
    """
    draws = [e for e in trace.events if e.operation == "multinomial" and e.inputs]
    if draws:
        values = [trace.events[max(draw.inputs)].value for draw in draws]
        rows = [value for value in values if value is not None and value.dim() == 1]
        value = pad_sequence(rows, batch_first=True) if len(rows) == len(values) else values[0]
    elif trace.output is None and trace.events:
        value = trace.events[-1].value
    else:
        return None
    if value is None or value.dim() != 2 or not value.is_floating_point():
        return None
    return value
