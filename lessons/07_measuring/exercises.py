"""Define the exercises of the measuring lesson: the claims about each part."""

from pathlib import Path

from gpt2_small.checker.claims import OPTIMISERS, Claim
from gpt2_small.checker.exercise_set import ExerciseSet

from .guides import GUIDES
from .mistakes import MISTAKES
from .observations import (
    a_guess,
    a_tie,
    accumulate_refusals,
    accumulated,
    accumulated_again,
    accumulated_at_once,
    bits,
    bits_of_the_harness,
    bits_refusals,
    choice_refusals,
    chosen,
    chosen_by_the_harness,
    equal_values,
    interval_refusals,
    intervals,
    intervals_by_hand,
    parameters_kept,
    rate_refusals,
    rates,
    rates_by_torch,
)

CLAIMS = {
    "trapezoid": (
        Claim("trapezoid", "It rises, stays and falls as torch's joined schedulers do", rates,
              also=(rates_by_torch,), gate=True, imports=OPTIMISERS),
        Claim("trapezoid", "A warm-up and a decay that do not fit are refused with ValueError",
              rate_refusals, group="refusals"),
    ),
    "accumulate": (
        Claim("accumulate", "Loss and gradients are those of one large batch", accumulated,
              also=(accumulated_at_once,), gate=True),
        Claim("accumulate", "Gradients of an earlier step are dropped", accumulated_again),
        Claim("accumulate", "The parameters stay as they are", parameters_kept, group="inputs"),
        Claim("accumulate", "No micro-batch is refused with ValueError", accumulate_refusals,
              group="refusals"),
    ),
    "interval": (
        Claim("interval", "It is Student's 95 % interval of the mean", intervals,
              also=(intervals_by_hand,), gate=True),
        Claim("interval", "Equal values have an interval of one point", equal_values),
        Claim("interval", "A single value is refused with ValueError", interval_refusals,
              group="refusals"),
    ),
    "bits_per_byte": (
        Claim("bits_per_byte", "It is lm-evaluation-harness's number", bits,
              also=(bits_of_the_harness,), gate=True),
        Claim("bits_per_byte", "A guess among 256 bytes needs 8 bits", a_guess),
        Claim("bits_per_byte", "An empty text is refused with ValueError", bits_refusals,
              group="refusals"),
    ),
    "best_ending": (
        Claim("best_ending", "Each of the three definitions finds its best ending", chosen,
              also=(chosen_by_the_harness,), gate=True),
        Claim("best_ending", "Of equal ones the first is taken", a_tie),
        Claim("best_ending", "Another definition is refused with ValueError", choice_refusals,
              group="refusals"),
    ),
}  # fmt: skip

EXERCISES = ExerciseSet(
    name="measuring",
    reference=Path(__file__).with_name("reference.py"),
    parts=tuple(CLAIMS),
    claims=CLAIMS.__getitem__,
    mistakes=MISTAKES.__getitem__,
    guides=lambda: GUIDES,
)
