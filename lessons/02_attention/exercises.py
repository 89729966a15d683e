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
    attended_sharply,
    averaged,
    cumulative,
    gradient,
    in_float32,
    input_kept,
    without_future,
)


def average_claims(part: str) -> tuple[Claim, ...]:
    return (
        Claim(part, "Every position gets the mean of the vectors up to its own", averaged(part),
              also=(cumulative,), gate=True),
        Claim(part, "It computes in the type of its input", in_float32(part), group="dtypes"),
        Claim(part, "The values stay as they are", input_kept(part), group="inputs"),
    )  # fmt: skip


CLAIMS = {part: average_claims(part) for part in AVERAGES} | {
    "attend": (
        Claim("attend", "It is torch's causal attention", attended, also=(attended_by_torch,),
              gate=True),
        Claim("attend", "With equal scores it is the mean", attended_equally),
        Claim("attend", "Large scores do not overflow", attended_sharply),
        Claim("attend", "No position sees a later one", without_future),
        Claim("attend", "Queries, keys and values get the right gradients", gradient,
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
