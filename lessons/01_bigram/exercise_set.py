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
        Claim("count_pairs", "correct counts of neighbouring pairs", counted, gate=True),
        Claim("count_pairs", "correct counts for a long text", counted_long),
        Claim("count_pairs", "two tokens have one pair", counted_short),
        Claim("count_pairs", "the tokens are not modified in place", input_kept, group="inputs"),
        Claim("count_pairs", "ValueError for a text without a pair", count_refusals,
              group="refusals"),
    ),
    "probabilities": (
        Claim("probabilities", "every row is a distribution, with smoothing", smoothed,
              gate=True),
        Claim("probabilities", "without smoothing, an empty row is all zeros", unsmoothed),
        Claim("probabilities", "the default adds 1", default_added),
        Claim("probabilities", "the counts are not modified in place", counts_kept, group="inputs"),
        Claim("probabilities", "ValueError for a negative number",
              probability_refusals, group="refusals"),
    ),
    "mean_loss": (
        Claim("mean_loss", "it is the mean negative log-probability in nats", loss, gate=True),
        Claim("mean_loss", "a pair of probability 0 makes it infinite", impossible_pair),
        Claim("mean_loss", "ValueError for a text without a target", loss_refusals,
              group="refusals"),
    ),
    "draw": (
        Claim("draw", "it returns length tokens, beginning with the first one",
              drawn_shape, gate=True),
        Claim("draw", "every token is sampled from the row of the token before it", drawn,
              summary=followers, expect=expected_followers),
        Claim("draw", "random numbers come from the given generator alone", drawn_again,
              group="chance"),
        Claim("draw", "ValueError for a length below 1", draw_refusals,
              group="refusals"),
    ),
    "logits_loss": (
        Claim("logits_loss", "it is the loss of the softmax of the rows", loss_of_logits,
              gate=True),
        Claim("logits_loss", "its gradient is the softmax minus the observed shares", gradient,
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
