"""Define the exercises of the bigram lesson: the claims about each part."""

from pathlib import Path

from gpt2_small.checker.claims import Claim
from gpt2_small.checker.exercise_set import ExerciseSet

from .guides import GUIDES
from .mistakes import MISTAKES
from .observations import (
    count_refusals,
    counted,
    counted_long,
    counted_short,
    counts_kept,
    default_added,
    draw_refusals,
    drawn,
    drawn_again,
    drawn_shape,
    expected_followers,
    followers,
    gradient,
    gradient_by_counting,
    impossible_pair,
    input_kept,
    loss,
    loss_of_logits,
    loss_refusals,
    probability_refusals,
    smoothed,
    unsmoothed,
)

CLAIMS = {
    "count_pairs": (
        Claim("count_pairs", "It counts every pair of neighbours", counted, gate=True),
        Claim("count_pairs", "It counts a long text", counted_long),
        Claim("count_pairs", "Two tokens have one pair", counted_short),
        Claim("count_pairs", "The tokens stay as they are", input_kept, group="inputs"),
        Claim("count_pairs", "A text without a pair is refused with ValueError", count_refusals,
              group="refusals"),
    ),
    "probabilities": (
        Claim("probabilities", "Every row is a distribution, with what is added", smoothed,
              gate=True),
        Claim("probabilities", "Without anything added, an empty row is all zeros", unsmoothed),
        Claim("probabilities", "By default 1 is added", default_added),
        Claim("probabilities", "The counts stay as they are", counts_kept, group="inputs"),
        Claim("probabilities", "A negative number is refused with ValueError",
              probability_refusals, group="refusals"),
    ),
    "mean_loss": (
        Claim("mean_loss", "It is the mean negative log-probability, in nats", loss, gate=True),
        Claim("mean_loss", "A pair of probability 0 makes it infinite", impossible_pair),
        Claim("mean_loss", "A text without a target is refused with ValueError", loss_refusals,
              group="refusals"),
    ),
    "draw": (
        Claim("draw", "It gives a text of the length, which begins with the first token",
              drawn_shape, gate=True),
        Claim("draw", "Every token is drawn by the row of the one before it", drawn,
              summary=followers, expect=expected_followers),
        Claim("draw", "The generator that is given is used, and no other", drawn_again,
              group="chance"),
        Claim("draw", "A length below 1 is refused with ValueError", draw_refusals,
              group="refusals"),
    ),
    "logits_loss": (
        Claim("logits_loss", "It is the loss of the softmax of the rows", loss_of_logits,
              gate=True),
        Claim("logits_loss", "Its gradient is the softmax minus the observed shares", gradient,
              also=(gradient_by_counting,), group="gradient"),
    ),
}  # fmt: skip

EXERCISES = ExerciseSet(
    name="bigram",
    reference=Path(__file__).with_name("reference.py"),
    parts=tuple(CLAIMS),
    claims=CLAIMS.__getitem__,
    mistakes=MISTAKES.__getitem__,
    guides=lambda: GUIDES,
)
