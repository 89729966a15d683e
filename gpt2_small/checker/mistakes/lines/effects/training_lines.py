"""Find the line of the first wrong effect of train_step or train.

An early update is searched for first, because it also leaves a wrong gradient.
"""

import ast
import math
from collections.abc import Mapping, Sequence

from gpt2_small.checker.claims.judging.runner import reference
from gpt2_small.checker.mistakes.lines.effects.effect_comparison import (
    close,
    first_unlike,
    in_words,
    of_kind,
    placed_at,
    unlike_facts,
)
from gpt2_small.checker.mistakes.lines.first_wrong_result import locate_number
from gpt2_small.checker.mistakes.lines.location import Location
from gpt2_small.checker.sandbox.tracing import Effect, Trace, record
from gpt2_small.checker.sandbox.tracing.training_effects import (
    GRADIENT,
    LEFT,
    RATES,
    READS,
    WEIGHTS,
)


def step(seed: int, trace: Trace, case: str, source: bytes) -> Location | None:
    """The location of train_step's first wrong effect, if there is one."""
    right = record(reference(), "train_step", seed, case)
    if case:
        updates = of_kind(trace, WEIGHTS)
        said = f"it updates the weights although the {case.removeprefix('infinite ')} is not finite"
        return placed_at(updates[0].line, said) if updates else None
    return (
        _early_update(trace, right)
        or _left(trace)
        or _zeroing(trace)
        or _wrong_loss(seed, trace)
        or _wrong_gradient(trace, right)
        or _late_reading(trace)
        or unlike_facts(
            trace,
            right,
            ("the loss", "the grad_norm", "the tokens"),
            _line_of_call(source, "train_step", "StepResult"),
        )
    )


def _early_update(trace: Trace, right: Trace) -> Location | None:
    """An update before all micro-batches were read, or a second update."""
    read, updates = 0, 0
    number = len(of_kind(right, READS))
    for effect in trace.effects:
        read += effect.what == READS
        updates += effect.what == WEIGHTS
        if effect.what == WEIGHTS and read < number:
            said = f"it changes the weights when {read} of {number} micro-batches have been read"
            return placed_at(effect.line, said, "train-step-updates-each-batch" if read else "")
        if effect.what == WEIGHTS and updates > 1:
            said = "it changes the weights once more"
            return placed_at(effect.line, said, "train-step-updates-twice")
    return None


def _zeroing(trace: Trace) -> Location | None:
    """The line that zeroes a gradient that the micro-batches left, before the update."""
    read, is_left = 0, False
    for effect in trace.effects:
        if effect.what == WEIGHTS:
            return None
        read += effect.what == READS
        if effect.what != GRADIENT:
            continue
        if is_left and not any(effect.numbers):
            said = f"it zeroes the gradient when {read} micro-batches have been read"
            return placed_at(effect.line, said.replace("1 micro-batches have", "1 micro-batch has"))
        is_left = read > 0 and any(effect.numbers)
    return None


def _left(trace: Trace) -> Location | None:
    changed = of_kind(trace, LEFT)
    said = "it changes the caller's list"
    return placed_at(changed[0].line, said, "train-step-empties-its-list") if changed else None


def _wrong_loss(seed: int, trace: Trace) -> Location | None:
    """The location of the first wrong result in the first loss with a `backward` call."""
    for index, event in enumerate(trace.events):
        if event.operation == "backward":
            found = locate_number("train_step", seed, trace, index)
            if found is not None:
                return found
    return None


def _wrong_gradient(trace: Trace, right: Trace) -> Location | None:
    """The location of the first gradient that the reference never has.

    Between two reads a gradient may change parameter by parameter; only its last value is
    compared.
    """
    wanted = [(0.0, 0.0, 0.0), *(effect.numbers for effect in of_kind(right, GRADIENT))]
    number = len(of_kind(right, READS))
    for read, changes in enumerate(_between_readings(trace)):
        first_wrong = None
        for effect in reversed(changes):
            if any(close(effect.numbers, one) for one in wanted):
                break
            first_wrong = effect
        if first_wrong is None:
            continue
        theirs = _between_readings(right)[read : read + 1]
        there = [change.numbers for changes in theirs for change in changes[-1:]]
        factors = (_factor(changes[-1].numbers, one) for one in (*there, *wanted[1:]))
        factor = next((f for f in factors if f is not None), None)
        said = "the gradient is wrong" if factor is None else (
            f"the gradient becomes {factor:.4g} times what it should be")  # fmt: skip
        backward = {event.line for event in trace.events if event.operation == "backward"}
        is_smaller = factor is not None and 0 < factor < 1 and read < number
        is_clipped = is_smaller and first_wrong.line not in backward
        suggests = "train-step-clips-each-batch" if is_clipped else ""
        said = f"{said}, after {read} of {number} micro-batches"
        return placed_at(first_wrong.line, said, suggests)
    return None


def _between_readings(trace: Trace) -> list[list[Effect]]:
    """The gradient's changes before the first micro-batch is read, and after each."""
    found: list[list[Effect]] = [[]]
    for effect in trace.effects:
        if effect.what == READS:
            found.append([])
        elif effect.what == GRADIENT:
            found[-1].append(effect)
    return found


def _factor(numbers: Sequence[float], wanted: Sequence[float]) -> float | None:
    """The factor between two gradients, if there is one."""
    if not all(map(math.isfinite, numbers)) or not wanted[0]:
        return None
    factor = numbers[0] / wanted[0]
    return factor if close(numbers, [factor * w for w in wanted]) else None


def _late_reading(trace: Trace) -> Location | None:
    has_updated = False
    for effect in trace.effects:
        has_updated = has_updated or effect.what == WEIGHTS
        if has_updated and effect.what == READS:
            said = "the model reads a micro-batch after the update"
            return placed_at(effect.line, said, "train-step-tells-loss-after")
    return None


# A file that passes single micro-batches may make several calls per step.
_BOTH = (
    ("train-every-micro-batch", "train-first-micro-batch"),
    ("train-first-micro-batch", "train-every-micro-batch"),
)
HANDED_ON = (
    "the micro-batches passed to train_step",
    "the step passed to train_step",
    "asks the schedule for step",
    "training mode during the step",
    "max_grad_norm of train_step",
)


def train(seed: int, trace: Trace, _case: str, source: bytes) -> Location | None:
    """The location of train's first wrong effect, if there is one."""
    right = record(reference(), "train", seed)
    return (
        _handed_on(trace, right)
        or _wrong_rate(trace, right)
        or _late_record(trace, right)
        or unlike_facts(
            trace,
            right,
            [f"the {n} of a record" for n in ("step", "loss", "grad_norm", "learning_rate",
                                             "tokens")],
            _line_of_call(source, "train", "TrainRecord"),
        )
    )  # fmt: skip


def _line_of_call(source: bytes, function: str, called: str) -> int | None:
    """The line of the only call of a name in a function; None without one, or with several."""
    lines = [
        node.lineno
        for definition in ast.walk(ast.parse(source))
        if isinstance(definition, ast.FunctionDef) and definition.name == function
        for node in ast.walk(definition)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == called
    ]
    return lines[0] if len(lines) == 1 else None


def suggested(part: str, seed: int, traces: Mapping[str, Trace]) -> list[str]:
    """The mistakes that explain some of a function's effects; of train, its calls."""
    if part != "train" or "" not in traces:
        return []
    right = record(reference(), part, seed)
    places = (_handed_on(traces[""], right, (what,)) for what in HANDED_ON)
    found = [place.suggests for place in places if place is not None and place.suggests]
    return found + [other for one, other in _BOTH if one in found]


def _handed_on(trace: Trace, right: Trace, facts: Sequence[str] = HANDED_ON) -> Location | None:
    for what in facts:
        found = first_unlike(trace, right, what)
        if found is None:
            continue
        mine, theirs = found
        if what.startswith("training mode"):
            said = "the model is not in training mode during the step"
            is_first = mine is of_kind(trace, what)[0]
            return placed_at(mine.line, said, f"train-mode-{'not-set' if is_first else 'set-once'}")
        if what.startswith("the step that is") and mine.numbers == (-1.0,):
            return placed_at(mine.line, "train_step gets other micro-batches than the step has")
        suggests = "train-limit-forgotten" if what.startswith("max_grad_norm") else ""
        if what.startswith("asks") and theirs is not None:
            suggests = "train-next-rate" if mine.numbers[0] == theirs.numbers[0] + 1 else ""
        if what.startswith("the micro-batches") and mine.numbers == (1.0,):
            more = len(of_kind(trace, what)) > len(of_kind(right, what))
            suggests = "train-every-micro-batch" if more else "train-first-micro-batch"
        wanted = "" if theirs is None else f" instead of {in_words(theirs)}"
        is_verb = what.startswith("asks")
        said = f"it {what} {in_words(mine)}" if is_verb else f"{what}: {in_words(mine)}"
        return placed_at(mine.line, said + wanted, suggests)
    return None


def _wrong_rate(trace: Trace, right: Trace) -> Location | None:
    """The line that set the first wrong learning rate."""
    wrong = ((what, first_unlike(trace, right, what)) for what in RATES)
    what, found = next((one for one in wrong if one[1] is not None), ("", None))
    if found is None:
        return None
    mine, theirs = found
    index = trace.effects.index(mine)
    setting = [effect.line for effect in trace.effects[:index] if effect.what == "sets"]
    later = [effect.line for effect in trace.effects[index:] if effect.what == "sets"]
    if not setting and later:
        return placed_at(later[0], "it sets the learning rate of a step after the step")
    wanted = "" if theirs is None else f" instead of {in_words(theirs)}"
    said = f"{what} is {in_words(mine)}{wanted}"
    return placed_at(setting[-1] if setting else mine.line, said)


def _late_record(trace: Trace, right: Trace) -> Location | None:
    found = first_unlike(trace, right, "steps done when a record is yielded")
    if found is None:
        return None
    mine, theirs = found
    wanted = "" if theirs is None else f", and should come after {in_words(theirs)}"
    return placed_at(
        mine.line, f"a record is yielded when {in_words(mine)} steps were taken{wanted}"
    )
