"""Describe the difference of a wrong result from the reference's."""

from torch import Tensor

from gpt2_small.checker.difference_messages import told_apart
from gpt2_small.checker.mistakes.lines.location import NOTHING_RIGHT
from gpt2_small.checker.mistakes.lines.stages.reference_stages import PLURAL, WITHIN
from gpt2_small.checker.mistakes.lines.stages.stage import Stage
from gpt2_small.checker.mistakes.lines.stages.stage_matching import StageMatch
from gpt2_small.checker.mistakes.lines.stages.trace_comparison import TraceComparison

# Operations that compute several stages of the reference in one call.
_COMPUTED_AT_ONCE = {
    "layer_norm": "the whole normalization",
    "batch_norm": "the whole normalization",
    "group_norm": "the whole normalization",
    "multi_head_attention_forward": "the whole attention",
    "scaled_dot_product_attention": "the scores, the pattern and z",
}
_WITH_ATTENTION = ("MultiHeadAttention", "TransformerBlock", "Transformer")
_WITH_NORMALIZATION = ("LayerNorm", "TransformerBlock", "Transformer")


def difference_of(compared: TraceComparison, index: int) -> str:
    """Describe the difference of the first wrong result."""
    events = compared.trace.events
    found = compared.matches[index]
    if found is not None and found.kind == "scaled":
        factor, _ = told_apart(found.factor, 1.0, digits=4)
        if is_product_of(compared, found.stage, index):
            return f"it multiplies {found.stage.name} by {factor}"
        what = "they" if found.stage.name.endswith(PLURAL) else "it"
        return f"{found.stage.name}, {factor} times what {what} should be"
    if found is not None and found.kind == "cut":
        value, every = events[index].value, found.stage.value.shape[1]
        some = 0 if value is None else value.shape[1]
        return f"{found.stage.name}, at {some} of {every} positions"
    if found is not None and found.kind == "right" and compared.is_piece(index):
        return f"{found.stage.name}{_piece(found, events[index].value)}"
    if found is not None and found.kind == "scrambled":
        return f"the numbers of {found.stage.name}, in the wrong order"
    computed = _COMPUTED_AT_ONCE.get(events[index].operation)
    is_of_attention = computed is not None and "normalization" not in computed
    parts = _WITH_ATTENTION if is_of_attention else _WITH_NORMALIZATION
    if computed is not None and compared.part in parts:
        return f"it computes {computed} in one call, with another result than the reference's"
    here = _missing(compared, index)
    if index == compared.trace.output and (here is None or here.name == "the output"):
        is_seen = any(
            found is not None and found.stage.name == "the output" and compared.is_right(i)
            for i, found in enumerate(compared.matches)
        )
        return "it changes the output" if is_seen else "it computes the output"
    if here is None:
        return NOTHING_RIGHT
    return f"the reference has {here.name} here"


def _piece(found: StageMatch, value: Tensor | None) -> str:
    """The end of the name of a stage's piece."""
    if found.head is not None:
        return " of one head"
    rows = len(found.stage.value)
    is_row = value is not None and value.numel() * rows == found.stage.value.numel()
    return " of one row of the batch" if is_row else " at one position"


def is_product_of(compared: TraceComparison, stage: Stage, index: int) -> bool:
    """Whether a right result among a wrong one's inputs already is this stage."""
    given = (compared.matches[source] for source in compared.sources(index))
    return any(one is not None and one.stage is stage for one in given)


def _missing(compared: TraceComparison, index: int) -> Stage | None:
    """The named stage in whose place a result stands: one of its size that is not seen."""
    value = compared.trace.events[index].value
    is_running = compared.part == "next_token_loss" and index != compared.trace.output
    if value is not None and value.numel() == 1 and is_running:
        return None  # a running sum, say
    seen = {id(m.stage) for m in compared.matches if m is not None and m.kind == "right"}
    missing = [
        stage
        for stage in compared.known
        if stage.is_named and not stage.is_extra and id(stage) not in seen
    ]
    if value is None:
        return None
    is_real = value.is_floating_point()
    of_its_kind = [
        stage
        for stage in missing
        if stage.value.numel() == value.numel() and stage.value.is_floating_point() == is_real
    ]
    steps = {compared.matches[i].stage.name for i in compared.sources(index)}  # type: ignore[union-attr]
    if begun := [stage for stage in of_its_kind if f"{WITHIN}{stage.name}" in steps]:
        return begun[0]
    first = of_its_kind[0] if of_its_kind and of_its_kind[0] is missing[0] else None
    return None if first is None or _is_passed(compared, first, index) else first


def _is_passed(compared: TraceComparison, stage: Stage, index: int) -> bool:
    """Whether a right result before this one is of a later stage of the reference."""
    order = {id(each): place for place, each in enumerate(compared.known) if not each.is_given}
    earlier = [compared.matches[i] for i in range(index) if compared.is_right(i)]
    return any(
        one is not None and order.get(id(one.stage), -1) > order[id(stage)] for one in earlier
    )
