"""Define the exercises of the attention lesson: the claims about each part."""

from pathlib import Path

from gpt2_small.checker.claims import Claim
from gpt2_small.checker.exercise_set import ExerciseSet

from .guides import GUIDES
from .mistakes import MISTAKES
from .observations import (
    AVERAGES,
    attended,
    attended_by_torch,
    attended_equally,
    attended_in_float64,
    attended_sharply,
    averaged,
    cumulative,
    gradient,
    in_float64,
    input_kept,
    without_future,
)


def average_claims(part: str) -> tuple[Claim, ...]:
    return (
        Claim(part, "every position gets the mean of the vectors up to its own", averaged(part),
              also=(cumulative,), gate=True),
        Claim(part, "it keeps float64", in_float64(part), required=False, group="dtypes"),
        Claim(part, "the values are not modified in place", input_kept(part), group="inputs"),
    )  # fmt: skip


CLAIMS = {part: average_claims(part) for part in AVERAGES} | {
    "attend": (
        Claim("attend", "it equals torch's causal attention", attended, also=(attended_by_torch,),
              gate=True),
        Claim("attend", "equal scores give the mean", attended_equally),
        Claim("attend", "large scores do not overflow", attended_sharply),
        Claim("attend", "it keeps float64", attended_in_float64, required=False, group="dtypes"),
        Claim("attend", "no position depends on a later one", without_future),
        Claim("attend", "correct gradients of queries, keys and values", gradient,
              group="gradient"),
    )
}  # fmt: skip

EXERCISES = ExerciseSet(
    name="attention",
    reference=Path(__file__).with_name("reference.py"),
    parts=tuple(CLAIMS),
    claims=CLAIMS.__getitem__,
    mistakes=MISTAKES.__getitem__,
    guides=lambda: GUIDES,
)
