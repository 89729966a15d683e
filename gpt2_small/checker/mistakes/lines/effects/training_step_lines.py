"""Find the line of the first wrong effect of train_step.

An early update is searched for first, because it also leaves a wrong gradient.
"""

import itertools
import math
from collections.abc import Sequence
from typing import TypeGuard

from torch import Tensor

from gpt2_small.checker.claims.judging.runner import reference
from gpt2_small.checker.mistakes.lines.effects.effect_comparison import (
    close,
    compared,
    first_unlike,
    in_words,
    line_of_call,
    of_kind,
    placed_at,
    unlike_facts,
)
from gpt2_small.checker.mistakes.lines.effects.used_up_iterator import used_up_argument
from gpt2_small.checker.mistakes.lines.first_wrong_result import locate_number
from gpt2_small.checker.mistakes.lines.location import Location
from gpt2_small.checker.sandbox.tracing import Effect, Trace, record
from gpt2_small.checker.sandbox.tracing.line_watcher import NAMED
from gpt2_small.checker.sandbox.tracing.training_effects import (
    GRADIENT,
    LEFT,
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
        _wrong_count(trace, right)
        or _early_update(trace, right)
        or _left(trace)
        or _zeroing(trace)
        or _no_gradient(trace)
        or _wrong_loss(seed, trace)
        or _squared_norm(trace, right)
        or _wrong_gradient(trace, right)
        or _late_reading(trace)
        or unlike_facts(
            trace,
            right,
            ("the loss", "the grad_norm", "the tokens"),
            line_of_call(source, "train_step", "StepResult"),
        )
        or _used_up(trace, right, source)
    )


def _used_up(trace: Trace, right: Trace, source: bytes) -> Location | None:
    """The loop over an iterator that was used up, as in clipping after a sum of squares.

    None if the step leaves the right weights.
    """
    mine, theirs = (of_kind(one, WEIGHTS)[-1:] for one in (trace, right))
    if mine and theirs and close(mine[0].numbers, theirs[0].numbers):
        return None
    again = used_up_argument(source, trace.last_lines)
    return None if again is None else placed_at(*again)


def _wrong_count(trace: Trace, right: Trace) -> Location | None:
    """The line that counts the tokens wrongly before the model reads any."""
    found = first_unlike(trace, right, "the tokens")
    if found is None:
        return None
    mine, theirs = found
    before = itertools.takewhile(lambda effect: effect.what != READS, trace.effects)
    named = [e for e in before if e.what.startswith(NAMED) and close(e.numbers, mine.numbers)]
    if not named or theirs is None:
        return None
    said = compared(mine, theirs).replace(" instead", " tokens instead")
    return placed_at(named[0].line, f"it counts {said}")


_EACH = "train-step-updates-each-batch"


def _early_update(trace: Trace, right: Trace) -> Location | None:
    """An update before all micro-batches were read, or a second update."""
    read, updates = 0, 0
    number = len(of_kind(right, READS))
    is_each = len(of_kind(trace, WEIGHTS)) >= number
    for effect in trace.effects:
        read += effect.what == READS
        updates += effect.what == WEIGHTS
        if effect.what == WEIGHTS and read < number:
            said = f"it changes the weights when {read} of {number} micro-batches have been read"
            return placed_at(effect.line, said, _EACH if read and is_each else "")
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


def _no_gradient(trace: Trace) -> Location | None:
    """The first backward call, if none leaves a gradient in the model."""
    effects = itertools.dropwhile(lambda effect: effect.what != READS, trace.effects)
    reached = any(e.what == GRADIENT and any(e.numbers) for e in effects)
    backward = [event.line for event in trace.events if event.operation == "backward"]
    if reached or not backward or not of_kind(trace, READS):
        return None
    return placed_at(backward[0], "no gradient of this loss reaches the model's parameters")


def _wrong_loss(seed: int, trace: Trace) -> Location | None:
    """The location of the first wrong result in the first loss with a `backward` call."""
    for index, event in enumerate(trace.events):
        if event.operation == "backward":
            found = locate_number("train_step", seed, trace, index)
            if found is not None:
                return found
    return None


def _squared_norm(trace: Trace, right: Trace) -> Location | None:
    """The line that computes the square of the gradient's norm, if this is what is told."""
    found = first_unlike(trace, right, "the grad_norm")
    if found is None or found[1] is None:
        return None
    mine, theirs = found[0].numbers, found[1].numbers
    if not close(mine, [theirs[0] ** 2]):
        return None
    made = (e.line for e in trace.events if _is_number(e.value) and close([float(e.value)], mine))
    line = next(made, None)
    said = f"{in_words(found[0])} is the square of the gradient's norm"
    return None if line is None else placed_at(line, said)


def _is_number(value: Tensor | None) -> TypeGuard[Tensor]:
    return value is not None and value.numel() == 1


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
