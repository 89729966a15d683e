"""Find an input of a wrong result that belongs elsewhere: another head's, too early, unfinished."""

from collections.abc import Mapping, Sequence

import torch

from gpt2_small.checker.claims.judging.tolerances import STAGES
from gpt2_small.checker.mistakes.lines.location import Location
from gpt2_small.checker.mistakes.lines.stages.reference_stages import NAMES, WITHIN
from gpt2_small.checker.mistakes.lines.stages.trace_comparison import TraceComparison
from gpt2_small.checker.parts import PARTS
from gpt2_small.checker.sandbox.tracing import SAMPLING, Event

# Operations whose inputs should be complete stages.
_CONSUMERS = ("einsum", "matmul", "bmm", "__matmul__", "linear", "scaled_dot_product_attention",
              "gelu", "relu", "silu", "tanh", "sigmoid", "softmax")  # fmt: skip

_PRODUCTS = ("einsum", "matmul", "bmm", "__matmul__", "linear")
# Operations that repeat a part of a result.
_REPEATING = ("expand", "expand_as", "repeat", "broadcast_to")

# The stages that the reference passes to inner parts of a Transformer.
_FED = {"TransformerBlock": NAMES["residual"]}


def mixed_heads(compared: TraceComparison, index: int) -> Location | None:
    """The location where one head's part is used with that of another, or of all."""
    sources = compared.sources(index)
    event = compared.trace.events[index]
    if event.operation in _REPEATING and (row := _one_row(compared, sources)) is not None:
        return row
    heads = {source: compared.matches[source].head for source in sources}  # type: ignore[union-attr]
    if event.operation in _REPEATING:
        heads[-1] = None  # one head's part replaces all
    elif len(set(heads.values())) < 2 or event.operation not in _CONSUMERS:
        return None
    for source in compared.sources(index):
        head = heads[source]
        maker = compared.trace.events[compared.maker(source)]
        others = [other for other in heads.values() if other != head]
        before = [
            i
            for i in range(source)
            if compared.trace.events[i].line == maker.line
            and compared.is_right(i)
            and compared.is_the_same(i, source)
        ]
        if head is not None and (None in others or before):
            name = compared.matches[source].stage.name  # type: ignore[union-attr]
            said = f"{name} of one head, where those of {_all_or_another(others)} belong"
            return Location(None, "", maker.line, said, maker.value)
    return None


def overwritten(compared: TraceComparison, index: int) -> Location | None:
    """The location of a right result in a loop that replaces those of earlier passes."""
    events = compared.trace.events
    used = {source for event in events for source in event.inputs} | {compared.trace.output}
    for source in compared.sources(index):
        last = events[source]
        lost = (
            i
            for i in range(source)
            if (events[i].line, events[i].operation) == (last.line, last.operation)
            if i not in used and compared.is_right(i) and not compared.is_the_same(i, source)
        )
        if next(lost, None) is not None:
            said = "each pass of the loop replaces the result of the one before"
            return Location(None, "", last.line, said, last.value)
    return None


def _one_row(compared: TraceComparison, sources: Sequence[int]) -> Location | None:
    """The location of the result of one row of the batch, which is repeated for all."""
    for source in sources:
        found = compared.matches[source]
        if found is not None and found.row is not None:
            maker = compared.trace.events[compared.maker(source)]
            said = f"{found.stage.name} of one row of the batch, where those of all belong"
            return Location(None, "", maker.line, said, maker.value)
    return None


def merged_backwards(compared: TraceComparison, index: int) -> Location | None:
    """The location of a product's only right factor, if its axes are merged in another order."""
    sources = compared.sources(index)
    if compared.trace.events[index].operation not in _PRODUCTS or len(sources) != 1:
        return None
    found = compared.matches[sources[0]]
    if found is None or not found.is_interleaved:
        return None
    maker = compared.trace.events[sources[0]]
    said = f"{found.stage.name}, with axes merged in another order"
    return Location(None, "", maker.line, said, maker.value)


def fed_too_early(compared: TraceComparison, index: int) -> Location | None:
    """The location of an inner part's input that is an earlier stage than in the reference."""
    event = compared.trace.events[index]
    if event.operation not in PARTS or not compared.sources(index):
        return None
    source = compared.sources(index)[0]
    given = compared.matches[source]
    assert given is not None
    names = [stage.name for stage in compared.known if stage.is_named]
    wanted = _FED.get(event.operation)
    seen = {m.stage.name for i, m in enumerate(compared.matches) if m and compared.is_right(i)}
    is_given = given.stage.name.removeprefix(WITHIN) == wanted
    if wanted is None or wanted not in names or wanted in seen or is_given:
        return None
    line = compared.trace.events[source].line
    said = f"{event.operation} is given {given.stage.name}, and not {wanted}"
    return Location(None, "", line, said, event.value)


def late_temperature(compared: TraceComparison, index: int) -> Location | None:
    """The softmax of logits that only a later line of sample divides by the temperature."""
    found, events = compared.matches[index], compared.trace.events
    temperature = SAMPLING["temperature"]
    if compared.part != "sample" or found is None or found.kind != "scaled":
        return None
    if abs(found.factor - temperature) > STAGES:
        return None
    divided = (i for i in range(index, len(events)) if _is_divided(events, i, temperature))
    late = next(divided, index)
    softmax = (i for i in compared.wrong if index < i < late and events[i].operation in _SOFTMAX)
    first = next(softmax, None)
    if first is None:
        return None
    said = "a softmax of logits that are not divided by the temperature"
    return Location(None, "", events[first].line, said, events[first].value, True)


_SOFTMAX = ("softmax", "log_softmax", "exp")


def lost_tokens(compared: TraceComparison, _index: int) -> Location | None:
    """The line of generate that cuts the tokens to which a later line appends the next one."""
    events, output = compared.trace.events, compared.trace.output
    final = next((stage.value for stage in compared.known if stage.name == "the output"), None)
    got = None if output is None else events[output].value
    if compared.part != "generate" or final is None or got is None or got.numel() >= final.numel():
        return None
    joined = {i for event in events if event.operation in _JOINING for i in event.inputs}
    for index in sorted(joined):
        value, sources = events[index].value, events[index].inputs
        given = events[sources[0]].value if sources else None
        if events[index].operation != "__getitem__" or value is None or given is None:
            continue
        if value.dim() == given.dim() == 2 and 1 < value.shape[1] < given.shape[1]:
            said = "the tokens that it cuts off are missing in the result"
            return Location(None, "", events[index].line, said, value, True)
    return None


_JOINING = ("cat", "concat", "concatenate", "hstack")


def _is_divided(events: Sequence[Event], index: int, by: float) -> bool:
    """Whether a result is an earlier result divided by a number."""
    value = events[index].value
    given = [events[source].value for source in events[index].inputs]
    return value is not None and any(
        one is not None
        and one.shape == value.shape
        and torch.allclose(one.double(), value.double() * by)
        for one in given
    )


def unfinished(compared: TraceComparison, index: int) -> tuple[Event, str, str] | None:
    """A step towards a missing named stage among a wrong result's inputs.

    The step, its name, and the name of the missing stage.
    """
    if compared.trace.events[index].operation not in _CONSUMERS:
        return None
    seen = {m.stage.name for i, m in enumerate(compared.matches) if m and compared.is_right(i)}
    missing = [s for s in compared.known if s.is_named and not s.is_given and s.name not in seen]
    names = [stage.name for stage in missing]
    bases: dict[str, Event] = {}
    for source in compared.sources(index):
        found = compared.matches[source]
        assert found is not None
        name = found.stage.name
        base = name.removeprefix(WITHIN)
        made = compared.trace.events[compared.maker(source)]
        if base != name and base in names and not base.startswith("the output"):
            return made, name, base
        is_again = bool(names) and base in seen and (base != name or base in bases)
        if is_again and found.stage.value.numel() == missing[0].value.numel():
            is_first = names[0] == NAMES["query"]  # the first factor of the scores
            return bases.get(base, made) if is_first else made, name, names[0]
        bases[base] = made
    return _values_in_scores(bases, names)


def _values_in_scores(
    bases: Mapping[str, Event], missing: Sequence[str]
) -> tuple[Event, str, str] | None:
    """The values, if they are multiplied with the queries or the keys, and the other's name."""
    value, pair = NAMES["value"], {NAMES["query"], NAMES["key"]}
    others = pair - set(bases)
    if value not in bases or len(bases) != 2 or len(others) != 1 or not others & set(missing):
        return None
    return bases[value], value, others.pop()


def _all_or_another(heads: Sequence[int | None]) -> str:
    return "all" if None in heads else "another"
