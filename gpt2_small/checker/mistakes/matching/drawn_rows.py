"""Compare the probabilities in two traces of sample, row by row."""

import torch.nn.functional as F
from torch import Tensor

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
    if theirs is not None and _ends_with_logits(trace):
        return 1.0
    if mine is None or theirs is None:
        return 0.0
    if len(theirs) != len(mine) or bool((mine[:, 0].isnan() != theirs[:, 0].isnan()).any()):
        return 1.0
    width = max(mine.shape[1], theirs.shape[1])
    mine, theirs = (F.pad(p, (0, width - p.shape[1])) for p in (mine, theirs))
    return float(((mine - theirs).abs().amax(dim=-1) >= EFFECTS).double().mean())


def _ends_with_logits(trace: Trace) -> bool:
    """Whether the last numbers before an error are logits, as drawn from without a softmax."""
    values = (event.value for event in trace.events if trace.output is None)
    numbers = [value for value in values if value is not None and value.is_floating_point()]
    return bool(numbers) and numbers[-1].dim() == 2 and bool((numbers[-1] < 0).any())


def draws_from_the_same(trace: Trace, other: Trace) -> bool:
    """Whether the probabilities of both traces are known, and equal in every row."""
    is_known = _drawn_from(trace) is not None and _drawn_from(other) is not None
    return is_known and rows_apart(trace, other) == 0


def _drawn_from(trace: Trace) -> Tensor | None:
    """The first draw's probabilities, each row sorted; None if there are none.

    If the draw raised, the last probabilities count. An invalid row is NaN.
    """
    draws = [e for e in trace.events if e.operation == "multinomial" and e.inputs]
    if draws:
        value = trace.events[max(draws[0].inputs)].value
    elif trace.output is None and trace.events:
        value = trace.events[-1].value
    else:
        return None
    if value is None or value.dim() != 2 or not value.is_floating_point():
        return None
    if bool((value < 0).any()):
        return None  # logits
    return (value / value.sum(dim=-1, keepdim=True)).sort(dim=-1, descending=True).values.double()
