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
        Claim("trapezoid", "it equals torch's joined schedulers", rates,
              also=(rates_by_torch,), gate=True, imports=OPTIMISERS),
        Claim("trapezoid", "ValueError for a warm-up and a decay that do not fit",
              rate_refusals, group="refusals"),
    ),
    "accumulate": (
        Claim("accumulate", "loss and gradients equal those of one large batch", accumulated,
              also=(accumulated_at_once,), gate=True),
        Claim("accumulate", "gradients of an earlier step are cleared", accumulated_again),
        Claim("accumulate", "the parameters are not changed", parameters_kept, group="inputs"),
        Claim("accumulate", "ValueError for no micro-batch", accumulate_refusals,
              group="refusals"),
    ),
    "interval": (
        Claim("interval", "it is Student's 95 % interval of the mean", intervals,
              also=(intervals_by_hand,), gate=True),
        Claim("interval", "equal values have an interval of one point", equal_values),
        Claim("interval", "ValueError for a single value", interval_refusals,
              group="refusals"),
    ),
    "bits_per_byte": (
        Claim("bits_per_byte", "same number as lm-evaluation-harness", bits,
              also=(bits_of_the_harness,), gate=True),
        Claim("bits_per_byte", "a guess among 256 bytes needs 8 bits", a_guess),
        Claim("bits_per_byte", "ValueError for an empty text", bits_refusals,
              group="refusals"),
    ),
    "best_ending": (
        Claim("best_ending", "each of the three definitions finds its best ending", chosen,
              also=(chosen_by_the_harness,), gate=True),
        Claim("best_ending", "of equal endings the first is taken", a_tie),
        Claim("best_ending", "ValueError for an unknown definition", choice_refusals,
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
