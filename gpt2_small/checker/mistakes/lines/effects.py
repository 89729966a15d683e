"""Find the line where a function first does something that the reference does not do.

What two functions do is compared kind by kind, in an order of which the first tells most: an update
too early says more than the gradient that it leaves.
"""

import ast
import math
from collections.abc import Callable, Mapping, Sequence

from gpt2_small.checker.claims.runner import reference
from gpt2_small.checker.explanations import are_several
from gpt2_small.checker.mistakes.lines.location import Location
from gpt2_small.checker.mistakes.lines.pointing import locate_number
from gpt2_small.checker.mistakes.lines.schedule import right_numbers
from gpt2_small.checker.sandbox.tracing import SCHEDULES, Effect, Trace, record
from gpt2_small.checker.sandbox.tracing.function_effects import ADDED
from gpt2_small.checker.sandbox.tracing.numbers import NAMED, OWN_GENERATOR
from gpt2_small.checker.sandbox.tracing.schedules import steps_of
from gpt2_small.checker.sandbox.tracing.training_effects import GRADIENT, LEFT, READS, WEIGHTS

_CLOSE = 1e-6

Find = Callable[[int, Trace, str, bytes], Location | None]


def located(part: str, seed: int, trace: Trace, case: str, source: bytes) -> Location | None:
    """The first line of a function that does something else than the reference, if one does."""
    find = _FINDERS.get(part)
    return None if find is None else find(seed, trace, case, source)


def _effect(line: int, said: str, suggests: str = "") -> Location | None:
    return Location(None, "", line, said, None, True, suggests) if line else None


def _of_kind(trace: Trace, what: str) -> list[Effect]:
    return [effect for effect in trace.effects if effect.what == what]


def _close(a: Sequence[float], b: Sequence[float]) -> bool:
    return len(a) == len(b) and all(
        x == y or (math.isnan(x) and math.isnan(y)) or abs(x - y) <= _CLOSE * max(1.0, abs(y))
        for x, y in zip(a, b, strict=True)
    )


def _first_unlike(trace: Trace, right: Trace, what: str) -> tuple[Effect, Effect | None] | None:
    """The first effect of a kind that differs, with the reference's."""
    wanted = _of_kind(right, what)
    for index, mine in enumerate(_of_kind(trace, what)):
        theirs = wanted[index] if index < len(wanted) else None
        if theirs is None or not _close(mine.numbers, theirs.numbers):
            return mine, theirs
    return None


def _named_before(trace: Trace, effect: Effect) -> int:
    """The line that gave the number of an effect a name; the effect's own where none did."""
    for other in trace.effects[: trace.effects.index(effect)]:
        is_named = other.what.startswith(NAMED) and effect.numbers[0] not in (0.0, 1.0)
        if is_named and _close(other.numbers, effect.numbers):
            return other.line
    return effect.line


def _unlike_facts(trace: Trace, right: Trace, facts: Sequence[str]) -> Location | None:
    """The first of these numbers that differs, in a sentence."""
    for what in facts:
        found = _first_unlike(trace, right, what)
        if found is not None:
            mine, theirs = found
            said = f"{what} {'are' if are_several(what) else 'is'} {_number(mine)}"
            wanted = "" if theirs is None else f" instead of {_number(theirs)}"
            return _effect(_named_before(trace, mine), said + wanted)
    return None


def _number(effect: Effect) -> str:
    return ", ".join(f"{number:.5g}" for number in effect.numbers)


def _step(seed: int, trace: Trace, case: str, _source: bytes) -> Location | None:
    right = record(reference(), "train_step", seed, case)
    if case:
        updates = _of_kind(trace, WEIGHTS)
        said = f"it updates the weights although the {case.removeprefix('infinite ')} is not finite"
        return _effect(updates[0].line, said) if updates else None
    return (
        _early_update(trace, right)
        or _left(trace)
        or _wrong_loss(seed, trace)
        or _wrong_gradient(trace, right)
        or _late_reading(trace)
        or _unlike_facts(trace, right, ("the loss", "the grad_norm", "the tokens"))
    )


def _early_update(trace: Trace, right: Trace) -> Location | None:
    """An update before all micro-batches were read, and more than one."""
    read, updates = 0, 0
    number = len(_of_kind(right, READS))
    for effect in trace.effects:
        read += effect.what == READS
        updates += effect.what == WEIGHTS
        if effect.what == WEIGHTS and read < number:
            said = f"it changes the weights when {read} of {number} micro-batches have been read"
            return _effect(effect.line, said, "train-step-updates-each-batch" if read else "")
        if effect.what == WEIGHTS and updates > 1:
            said = "it changes the weights once more"
            return _effect(effect.line, said, "train-step-updates-twice")
    return None


def _left(trace: Trace) -> Location | None:
    changed = _of_kind(trace, LEFT)
    said = "it changes the caller's list"
    return _effect(changed[0].line, said, "train-step-empties-its-list") if changed else None


def _wrong_loss(seed: int, trace: Trace) -> Location | None:
    """Where the first loss that `backward` is called on becomes wrong."""
    for index, event in enumerate(trace.events):
        if event.operation == "backward":
            found = locate_number("train_step", seed, trace, index)
            if found is not None:
                return found
    return None


def _wrong_gradient(trace: Trace, right: Trace) -> Location | None:
    """The first line that leaves a gradient which the reference never has."""
    wanted = [(0.0, 0.0, 0.0), *(effect.numbers for effect in _of_kind(right, GRADIENT))]
    read = 0
    for effect in trace.effects:
        read += effect.what == READS
        if effect.what != GRADIENT or any(_close(effect.numbers, w) for w in wanted):
            continue
        factors = (_factor(effect.numbers, one) for one in wanted[1:])
        factor = next((f for f in factors if f is not None), None)
        said = "the gradient is not what it should be" if factor is None else (
            f"the gradient becomes {factor:.4g} times what it should be")  # fmt: skip
        number = len(_of_kind(right, READS))
        backward = {event.line for event in trace.events if event.operation == "backward"}
        is_smaller = factor is not None and 0 < factor < 1 and read < number
        is_clipped = is_smaller and effect.line not in backward
        suggests = "train-step-clips-each-batch" if is_clipped else ""
        return _effect(effect.line, f"{said}, after {read} of {number} micro-batches", suggests)
    return None


def _factor(numbers: Sequence[float], wanted: Sequence[float]) -> float | None:
    """By what one gradient is a multiple of another."""
    if not all(map(math.isfinite, numbers)) or not wanted[0]:
        return None
    factor = numbers[0] / wanted[0]
    return factor if _close(numbers, [factor * w for w in wanted]) else None


def _late_reading(trace: Trace) -> Location | None:
    has_updated = False
    for effect in trace.effects:
        has_updated = has_updated or effect.what == WEIGHTS
        if has_updated and effect.what == READS:
            said = "the model reads a micro-batch after the update"
            return _effect(effect.line, said, "train-step-tells-loss-after")
    return None


_OF_TRAIN = (
    "the micro-batches that are handed to train_step",
    "the step that is handed to train_step",
    "asks the schedule for step",
    "training mode during the step",
    "max_grad_norm of train_step",
)


def _train(seed: int, trace: Trace, _case: str, _source: bytes) -> Location | None:
    right = record(reference(), "train", seed)
    return (
        _handed_on(trace, right)
        or _wrong_rate(trace, right)
        or _late_record(trace, right)
        or _unlike_facts(
            trace,
            right,
            [f"the {n} of a record" for n in ("step", "loss", "grad_norm", "learning_rate",
                                             "tokens")],
        )
    )  # fmt: skip


def suggested(part: str, seed: int, traces: Mapping[str, Trace]) -> list[str]:
    """The mistakes that explain some of what a function does; of train, what it hands on."""
    if part != "train" or "" not in traces:
        return []
    right = record(reference(), part, seed)
    found = (_handed_on(traces[""], right, (what,)) for what in _OF_TRAIN)
    return [place.suggests for place in found if place is not None and place.suggests]


def _handed_on(trace: Trace, right: Trace, facts: Sequence[str] = _OF_TRAIN) -> Location | None:
    for what in facts:
        found = _first_unlike(trace, right, what)
        if found is None:
            continue
        mine, theirs = found
        if what.startswith("training mode"):
            said = "the model is not in training mode during the step"
            is_first = mine is _of_kind(trace, what)[0]
            return _effect(mine.line, said, f"train-mode-{'not-set' if is_first else 'set-once'}")
        if what.startswith("the step that is") and mine.numbers == (-1.0,):
            return _effect(mine.line, "train_step gets other micro-batches than the step has")
        suggests = "train-limit-forgotten" if what.startswith("max_grad_norm") else ""
        if what.startswith("asks") and theirs is not None:
            suggests = "train-next-rate" if mine.numbers[0] == theirs.numbers[0] + 1 else ""
        if what.startswith("the micro-batches") and mine.numbers == (1.0,):
            more = len(_of_kind(trace, what)) > len(_of_kind(right, what))
            suggests = "train-every-micro-batch" if more else "train-first-micro-batch"
        wanted = "" if theirs is None else f" instead of {_number(theirs)}"
        is_verb = what.startswith("asks")
        said = f"it {what} {_number(mine)}" if is_verb else f"{what}: {_number(mine)}"
        return _effect(mine.line, said + wanted, suggests)
    return None


def _wrong_rate(trace: Trace, right: Trace) -> Location | None:
    """The line that set the rate of the first step whose rate is wrong."""
    found = _first_unlike(trace, right, "the learning rate of the step")
    if found is None:
        return None
    mine, theirs = found
    before = trace.effects[: trace.effects.index(mine)]
    setting = [effect.line for effect in before if effect.what == "sets"]
    wanted = "" if theirs is None else f" instead of {_number(theirs)}"
    said = f"the learning rate of the step is {_number(mine)}{wanted}"
    return _effect(setting[-1] if setting else mine.line, said)


def _late_record(trace: Trace, right: Trace) -> Location | None:
    found = _first_unlike(trace, right, "steps taken when a record comes")
    if found is None:
        return None
    mine, theirs = found
    wanted = "" if theirs is None else f", and should come after {_number(theirs)}"
    return _effect(mine.line, f"a record comes when {_number(mine)} steps were taken{wanted}")


# What is compared of generate, and the mistake that a difference is.
_OF_GENERATE = {
    "training mode while it reads": "generate-under-dropout",
    "the number of tokens that the model reads": "",
    "the logits that sample is given": "",
    "temperature of sample": "generate-temperature-forgotten",
    "top_k of sample": "generate-top-k-forgotten",
    "top_p of sample": "generate-top-p-forgotten",
}


def _generate(seed: int, trace: Trace, _case: str, source: bytes) -> Location | None:
    right = record(reference(), "generate", seed, "options")
    own = _of_kind(trace, OWN_GENERATOR)
    if own:
        return _effect(own[0].line, "this generator is not the one that was given")
    for what in _OF_GENERATE:
        found = _first_unlike(trace, right, what)
        if found is not None:
            suggests = _OF_GENERATE[what]
            return _effect(found[0].line, _said_of_generate(what, *found), suggests)
    for drawing in _of_kind(trace, "generator of sample"):
        if drawing.numbers != (1.0,):
            said = "sample does not get the generator that was given"
            return _effect(drawing.line, said, "generate-generator-forgotten")
    found = _first_unlike(trace, right, ADDED)
    if found is None or found[1] is None:
        return None
    added, wanted = found[0].numbers[0], found[1].numbers[0]
    said = f"after {added:.0f} of {wanted:.0f} new tokens it ends"
    return _effect(_leaving(trace.last_lines, source) or found[0].line, said)


def _said_of_generate(what: str, mine: Effect, theirs: Effect | None) -> str:
    if what.startswith("training"):
        return "the model reads in training mode"
    if what.startswith("the logits"):
        return "sample is not given the logits of the last position"
    if theirs is None:
        return "the model reads once more"
    return f"{what} is {_number(mine)} instead of {_number(theirs)}"


def _leaving(lines: Sequence[int], source: bytes) -> int | None:
    """The last of the lines that leaves a loop."""
    leaving = {node.lineno for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Break)}
    return next((line for line in reversed(lines) if line in leaving), None)


def _groups(seed: int, trace: Trace, _case: str, source: bytes) -> Location | None:
    """The line that puts the first parameter into a wrong group."""
    right = record(reference(), "parameter_groups", seed)
    decays = {effect.what: effect.numbers[0] for effect in right.effects}
    for name, decay in decays.items():
        mine = _of_kind(trace, name)
        for number, effect in enumerate(mine):
            if not effect.numbers:
                said = f"{name} comes into no group"
            elif number:
                said = f"{name} comes into a second group"
            elif effect.numbers[0] == decay:
                continue
            else:
                what = "does not decay" if effect.numbers[0] == 0 else "decays"
                said = f"{name} {what}, and should{' not' if decay == 0 else ''}"
            group = int(effect.numbers[1]) if effect.numbers else None
            line = effect.line
            if group is None:
                line, group = _sibling(trace, decays, name) or (line, None)
            return _effect(_deciding(line, group, source), said)
    return None


def _sibling(trace: Trace, decays: dict[str, float], name: str) -> tuple[int, int] | None:
    """Line and group of a parameter that belongs where one without a group belongs."""
    for effect in trace.effects:
        if effect.numbers and decays.get(effect.what) == decays[name] == effect.numbers[0]:
            return effect.line, int(effect.numbers[1])
    return None


def _deciding(line: int, group: int | None, source: bytes) -> int:
    """The condition that a line depends on, or of a list that is returned the group's own line."""
    tree = ast.parse(source)
    conditions = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.If)
        and any(n.lineno <= line <= (n.end_lineno or 0) for n in [*node.body, *node.orelse])
    ]
    if conditions:
        return max(conditions, key=lambda node: node.lineno).lineno
    for node in ast.walk(tree):
        if isinstance(node, ast.Return) and node.lineno <= line <= (node.end_lineno or 0):
            groups = node.value.elts if isinstance(node.value, (ast.List, ast.Tuple)) else []
            if group is not None and group < len(groups):
                return groups[group].lineno
    return line


def _rate(seed: int, trace: Trace, _case: str, _source: bytes) -> Location | None:
    """The line behind the first wrong rate: the first number that no right schedule has, or the
    line that returned it."""
    right = record(reference(), "learning_rate", seed)
    numbers = [(case, step) for case, s in enumerate(SCHEDULES) for step in range(steps_of(s))]
    for ours, theirs, place in zip(trace.events, right.events, numbers, strict=False):
        assert ours.value is not None
        assert theirs.value is not None
        if abs(ours.value.item() - theirs.value.item()) > 1e-5 * max(1.0, theirs.value.item()):
            said = f"for {ours.operation} it returns {ours.value.item():.4g}"
            wanted = f"not {theirs.value.item():.4g}"
            strange = _strange_number(trace, place)
            if strange is None:
                return Location(None, "", ours.line, f"{said}, {wanted}")
            name = f"{strange.what} is {strange.numbers[-1]:.4g} there"
            return Location(None, "", strange.line, f"{said}, {wanted}; {name}")
    return None


def _strange_number(trace: Trace, place: tuple[int, int]) -> Effect | None:
    """The first number of a step that no right schedule has on its way, one that is not the same
    at every step."""
    case, _ = place
    for effect in [effect for effect in trace.effects if effect.numbers[:2] == place]:
        same = [e for e in trace.effects if (e.what, e.line) == (effect.what, effect.line)]
        same = [other for other in same if other.numbers[0] == case]
        varies = len({other.numbers[-1] for other in same}) > 1
        rights = [right_numbers(int(e.numbers[1]), **SCHEDULES[case]) for e in same]
        kinds = range(min(map(len, rights)))
        if varies and not any(
            all(_close(e.numbers[-1:], [right[k]]) for e, right in zip(same, rights, strict=True))
            for k in kinds
        ):
            return effect
    return None


def _sample(_seed: int, trace: Trace, case: str, _source: bytes) -> Location | None:
    if case == "" and (line := _returned_rank(trace)) is not None:
        said = "it returns the drawn rank among the sorted tokens, not the token"
        return _effect(line, said, "sample-returns-rank")
    own = _of_kind(trace, OWN_GENERATOR)
    if case == "no generator" and own:
        return _effect(own[0].line, "a generator of its own, where none was given")
    return None


def _returned_rank(trace: Trace) -> int | None:
    """The line that returned what was drawn from sorted probabilities, which look no token up."""
    events, index = trace.events, trace.output
    while index is not None and events[index].operation in _SAME_TOKENS:
        index = max(events[index].inputs, default=None)
    if index is None or events[index].operation != "multinomial" or not events[index].inputs:
        return None
    drawn_from = events[max(events[index].inputs)].value
    if drawn_from is None or not bool((drawn_from.diff(dim=-1) <= 0).all()):
        return None
    assert trace.output is not None
    return events[trace.output].line


_SAME_TOKENS = ("squeeze", "view", "reshape", "flatten", "__getitem__", "long", "to", "rearrange")


_FINDERS: dict[str, Find] = {
    "sample": _sample,
    "generate": _generate,
    "learning_rate": _rate,
    "parameter_groups": _groups,
    "train_step": _step,
    "train": _train,
}
