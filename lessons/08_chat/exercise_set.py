"""Define the exercises of the chat lesson: the claims about each part."""

from pathlib import Path

from gpt2_small.checker.claims import Claim
from gpt2_small.checker.exercise_set import ExerciseSet

from .guides import GUIDES
from .mistakes import MISTAKES
from .observations import (
    batch_refusals,
    batched,
    batched_in_a_loop,
    batched_kinds,
    expected_statistics,
    grow_refusals,
    grown_again,
    grown_old_rows,
    grown_rows,
    loss_refusals,
    lost,
    lost_at_the_first,
    lost_by_ignored_targets,
    lost_gradient,
    lost_gradient_by_ignored_targets,
    new_rows,
    render_refusals,
    rendered,
    rendered_by_hand,
    rendered_open,
    rendered_roles,
    their_statistics,
)
from .reply_observations import (
    replied,
    replied_by_a_gpt2,
    replied_by_generate,
    reply_kept,
    reply_refusals,
)

CLAIMS = {
    "render": (
        Claim("render", "roles, texts and ends in order, answers as targets",
              rendered, also=(rendered_by_hand,), gate=True),
        Claim("render", "a question alone has no target", rendered_open),
        Claim("render", "the name of a role in a text is plain text", rendered_roles),
        Claim("render", "ValueError for an unknown role", render_refusals,
              group="refusals"),
    ),
    "batch_of": (
        Claim("batch_of", "rows are padded on the right, without targets there", batched,
              also=(batched_in_a_loop,), gate=True),
        Claim("batch_of", "one conversation is a batch of one row", batched_kinds),
        Claim("batch_of", "ValueError for no conversation", batch_refusals,
              group="refusals"),
    ),
    "masked_loss": (
        Claim("masked_loss", "it is the mean over the targets, each scored by the logits before it",
              lost, also=(lost_by_ignored_targets,), gate=True),
        Claim("masked_loss", "a target without logits before it does not count",
              lost_at_the_first),
        Claim("masked_loss", "same gradient as torch's cross-entropy", lost_gradient,
              also=(lost_gradient_by_ignored_targets,), group="gradient"),
        Claim("masked_loss", "ValueError for a batch without a target", loss_refusals,
              group="refusals"),
    ),
    "grow": (
        Claim("grow", "the old rows come first, unchanged", grown_rows,
              expect=grown_old_rows, gate=True),
        Claim("grow", "new rows have the mean and the spread of the old ones", new_rows,
              summary=their_statistics, expect=expected_statistics),
        Claim("grow", "random numbers come from the given generator alone", grown_again,
              group="chance"),
        Claim("grow", "ValueError for a negative number", grow_refusals,
              group="refusals"),
    ),
    "reply": (
        Claim("reply", "it returns the most likely tokens up to a stop", replied, gate=True),
        Claim("reply", "same tokens as generate at temperature 0, up to a stop",
              replied_by_a_gpt2, also=(replied_by_generate,)),
        Claim("reply", "the prompt is not modified in place, and dropout is off", reply_kept,
              group="dropout"),
        Claim("reply", "ValueError for an empty prompt", reply_refusals,
              group="refusals"),
    ),
}  # fmt: skip

EXERCISES = ExerciseSet(
    name="chat",
    reference=Path(__file__).with_name("reference.py"),
    parts=tuple(CLAIMS),
    claims=CLAIMS.__getitem__,
    mistakes=MISTAKES.__getitem__,
    guides=lambda: GUIDES,
)
