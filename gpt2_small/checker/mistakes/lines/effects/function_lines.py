"""Find the first wrong line of generate, sample and learning_rate."""

import ast
from collections.abc import Sequence
from dataclasses import replace

import torch

from gpt2_small.checker.claims.judging.runner import reference
from gpt2_small.checker.difference_messages import told_apart
from gpt2_small.checker.mistakes.lines.effects.effect_comparison import (
    close,
    compared,
    first_unlike,
    of_kind,
    placed_at,
)
from gpt2_small.checker.mistakes.lines.effects.schedule_numbers import right_numbers
from gpt2_small.checker.mistakes.lines.location import Location
from gpt2_small.checker.sandbox.tracing import SCHEDULES, Effect, Trace, record, sampled
from gpt2_small.checker.sandbox.tracing.function_effects import ADDED, ADDED_EQUAL
from gpt2_small.checker.sandbox.tracing.line_watcher import OWN_GENERATOR
from gpt2_small.checker.sandbox.tracing.record_part import NO_GENERATOR, draws_of
from gpt2_small.checker.sandbox.tracing.schedule_cases import steps_of

_MODE = "training mode while it reads"
# The compared effects of generate, and the mistake behind a difference.
_OF_GENERATE = {
    _MODE: "generate-under-dropout",
    "the number of tokens that the model reads": "",
    "the tokens that the model reads": "",
    "the logits passed to sample": "",
    "temperature of sample": "generate-temperature-forgotten",
    "top_k of sample": "generate-top-k-forgotten",
    "top_p of sample": "generate-top-p-forgotten",
}
HANDED_ON = tuple(what for what, suggests in _OF_GENERATE.items() if suggests)
# The arguments of sample that generate omits; and training mode during the forward pass.
_FORGOTTEN = ((-1.0,), (1.0,))


def generate(seed: int, trace: Trace, _case: str, source: bytes) -> Location | None:
    """The location of generate's first wrong effect, if there is one."""
    right = record(reference(), "generate", seed, "options")
    own = of_kind(trace, OWN_GENERATOR)
    if own:
        return placed_at(own[0].line, "this is not the given generator")
    unlike = [
        (what, *found) for what in _OF_GENERATE if (found := first_unlike(trace, right, what))
    ]
    if unlike:  # a wrong draw changes all later reads
        what, mine, theirs = min(unlike, key=lambda one: _place_of(one[1], trace))
        suggests = _OF_GENERATE[what] if mine.numbers in _FORGOTTEN else ""
        return placed_at(mine.line, _said_of_generate(what, mine, theirs), suggests)
    for drawing in of_kind(trace, "generator of sample"):
        if drawing.numbers != (1.0,):
            said = "sample is not called with the given generator"
            return placed_at(drawing.line, said, "generate-generator-forgotten")
    found = first_unlike(trace, right, ADDED) or first_unlike(trace, right, ADDED_EQUAL)
    if found is None or found[1] is None:
        return None
    added, wanted = found[0].numbers[0], found[1].numbers[0]
    said = f"after {added:.0f} of {wanted:.0f} new tokens it ends"
    return placed_at(_leaving(trace.last_lines, source) or found[0].line, said)


def without_mode(trace: Trace) -> Trace:
    """A trace of generate without the model's mode, in which no claim about tokens fails."""
    return replace(trace, effects=[effect for effect in trace.effects if effect.what != _MODE])


def mode(seed: int, trace: Trace, source: bytes, left_in: str | None) -> Location | None:
    """The line of generate that runs the model in training mode, or that leaves it in a mode.

    left_in: `training` or `evaluation`; the only call of `train` or `eval` sets it.
    """
    right = record(reference(), "generate", seed, "options")
    found = first_unlike(trace, right, _MODE)
    if found is not None:
        said = _said_of_generate(_MODE, *found)
        return placed_at(found[0].line, said, _OF_GENERATE[_MODE])
    setting = {"training": "train", "evaluation": "eval"}.get(left_in or "")
    calls = [
        node.lineno
        for own in ast.walk(ast.parse(source))
        if isinstance(own, ast.FunctionDef) and own.name == "generate"
        for node in ast.walk(own)
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == setting
    ]
    return placed_at(calls[0], "the model is left in this mode") if len(calls) == 1 else None


def _place_of(effect: Effect, trace: Trace) -> int:
    return next(index for index, other in enumerate(trace.effects) if other is effect)


def _said_of_generate(what: str, mine: Effect, theirs: Effect | None) -> str:
    if what.startswith("training"):
        return "the model reads in training mode"
    if what == "the tokens that the model reads" and theirs is not None:
        return "the model's input is not the last n_ctx tokens in their order"
    if what.startswith("the logits"):
        rows = -int(mine.numbers[0])
        if rows > 0:
            few = "1 row" if rows == 1 else f"{rows} rows"
            return f"sample is given the last position's logits of {few} only"
        return "sample is not given the logits of the last position"
    if theirs is None:
        return "the model runs once more"
    return f"{what} is {compared(mine, theirs)}"


def _leaving(lines: Sequence[int], source: bytes) -> int | None:
    """The last executed line that leaves a loop, else the last loop's."""
    nodes = list(ast.walk(ast.parse(source)))
    loops = [node for node in nodes if isinstance(node, (ast.For, ast.While))]
    inside = [inner for loop in loops for inner in ast.walk(loop)]
    ending = [node for node in inside if isinstance(node, (ast.Break, ast.Return))]
    for statements in (ending, loops):
        leaving = {node.lineno for node in statements}
        found = next((line for line in reversed(lines) if line in leaving), None)
        if found is not None:
            return found
    return None


# Without a warm-up, the first rate may be the peak or the cosine's first step.
_WITHOUT_WARM_UP = 0.1


def rate(seed: int, trace: Trace, _case: str, source: bytes) -> Location | None:
    """The location of the first wrong rate: its first wrong number, or its return statement."""
    right = record(reference(), "learning_rate", seed)
    numbers = [(case, step) for case, s in enumerate(SCHEDULES) for step in range(steps_of(s))]
    for ours, theirs, place in zip(trace.events, right.events, numbers, strict=False):
        assert ours.value is not None
        assert theirs.value is not None
        allowed = 1e-5 * max(1.0, theirs.value.item())
        settings = SCHEDULES[place[0]]
        if not settings["warmup_steps"]:
            allowed = _WITHOUT_WARM_UP * settings["peak"]
        if abs(ours.value.item() - theirs.value.item()) > allowed:
            is_now, should_be = told_apart(ours.value.item(), theirs.value.item(), digits=4)
            said, wanted = f"for {ours.operation} it returns {is_now}", f"not {should_be}"
            strange = _strange_number(trace, place)
            if strange is None:
                line = _assigned(trace, place, ours.line, source)
                return Location(None, "", line, f"{said}, {wanted}")
            name = f"{strange.what} is {strange.numbers[-1]:.4g} there"
            return Location(None, "", strange.line, f"{said}, {wanted}; {name}")
    return None


def _assigned(trace: Trace, place: tuple[int, int], line: int, source: bytes) -> int:
    """The line that assigned the variable that a return statement returns, or its own line."""
    returned = {
        node.value.id
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Return) and node.lineno == line and isinstance(node.value, ast.Name)
    }
    made = [e for e in trace.effects if e.numbers[:2] == place and e.what in returned]
    return made[-1].line if made else line


def _strange_number(trace: Trace, place: tuple[int, int]) -> Effect | None:
    """A step's first number that no right schedule computes, and that varies between steps."""
    case, step = place
    last = SCHEDULES[case]["total_steps"] - 1
    for effect in [effect for effect in trace.effects if effect.numbers[:2] == place]:
        same = [e for e in trace.effects if (e.what, e.line) == (effect.what, effect.line)]
        same = [other for other in same if other.numbers[0] == case]
        if step <= last:  # beyond it, what is limited later may be anything
            same = [other for other in same if other.numbers[1] <= last]
        by_step: dict[float, list[float]] = {}
        for other in same:
            by_step.setdefault(other.numbers[1], []).append(other.numbers[-1])
        varies = any(numbers != by_step[effect.numbers[1]] for numbers in by_step.values())
        rights = [right_numbers(int(e.numbers[1]), **SCHEDULES[case]) for e in same]
        kinds = range(min(map(len, rights)))
        if varies and not any(
            all(close(e.numbers[-1:], [right[k]]) for e, right in zip(same, rights, strict=True))
            for k in kinds
        ):
            return effect
    return None


def sample(seed: int, trace: Trace, case: str, _source: bytes) -> Location | None:
    """The location of sample's first wrong effect, if there is one."""
    if case == "" and (line := _returned_rank(trace)) is not None:
        said = "it returns the drawn rank among the sorted tokens, not the token"
        return placed_at(line, said, "sample-returns-rank")
    own = of_kind(trace, OWN_GENERATOR)
    if case == NO_GENERATOR:
        said = "a generator of its own, where none was given"
        return placed_at(own[0].line, said) if own else None
    rows = len(sampled(seed))
    return _drawn_too_few(trace, rows) or other_shape(trace, rows)


def _drawn_too_few(trace: Trace, rows: int) -> Location | None:
    """The first draw, if fewer random numbers are drawn than there are rows of logits."""
    draws = draws_of(trace)
    number = sum(0 if event.value is None else event.value.numel() for event in draws)
    if not draws or number >= rows or trace.output is None:
        return None
    what = "token" if draws[0].operation == "multinomial" else "random number"
    said = f"1 {what} is drawn" if number == 1 else f"{number} {what}s are drawn"
    return placed_at(draws[0].line, f"{said} for {rows} rows of logits")


def other_shape(trace: Trace, rows: int) -> Location | None:
    """The line that returned something else than one token for each row."""
    output = None if trace.output is None else trace.events[trace.output]
    if output is None or output.value is None or output.value.shape == (rows,):
        return None
    shape = "[" + " ".join(map(str, output.value.shape)) + "]"
    said = f"for {rows} rows of logits the result has the shape {shape}"
    return placed_at(output.line, said)


def _returned_rank(trace: Trace) -> int | None:
    """The line that returned a rank in sorted probabilities instead of a token."""
    events, index = trace.events, trace.output
    while index is not None and events[index].operation in _SAME_TOKENS:
        index = max(events[index].inputs, default=None)
    if index is None or events[index].operation != "multinomial" or not events[index].inputs:
        return None
    drawn_from = events[max(events[index].inputs)].value
    assert trace.output is not None
    got, rank = events[trace.output].value, events[index].value
    if got is None or rank is None or not torch.equal(got.flatten(), rank.flatten()):
        return None  # the rank is the place of what is returned
    if drawn_from is None or not bool((drawn_from.diff(dim=-1) <= 0).all()):
        return None
    return events[trace.output].line


_SAME_TOKENS = ("squeeze", "view", "reshape", "flatten", "__getitem__", "long", "to", "rearrange")
