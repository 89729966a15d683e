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
        Claim("render", "Roles, texts and ends follow each other, and the answers are targets",
              rendered, also=(rendered_by_hand,), gate=True),
        Claim("render", "A question alone has no target", rendered_open),
        Claim("render", "The name of a role in a text is text", rendered_roles),
        Claim("render", "Another role is refused with ValueError", render_refusals,
              group="refusals"),
    ),
    "batch_of": (
        Claim("batch_of", "Every row is padded on the right, where nothing is a target", batched,
              also=(batched_in_a_loop,), gate=True),
        Claim("batch_of", "One conversation is a batch of one row", batched_kinds),
        Claim("batch_of", "No conversation is refused with ValueError", batch_refusals,
              group="refusals"),
    ),
    "masked_loss": (
        Claim("masked_loss", "It is the mean over the targets, each scored by the logits before",
              lost, also=(lost_by_ignored_targets,), gate=True),
        Claim("masked_loss", "A target without logits before it does not count",
              lost_at_the_first),
        Claim("masked_loss", "Its gradient is that of torch's cross-entropy", lost_gradient,
              also=(lost_gradient_by_ignored_targets,), group="gradient"),
        Claim("masked_loss", "A batch without a target is refused with ValueError", loss_refusals,
              group="refusals"),
    ),
    "grow": (
        Claim("grow", "The old rows come first, and stay as they are", grown_rows,
              expect=grown_old_rows, gate=True),
        Claim("grow", "New rows have the mean and the spread of the old ones", new_rows,
              summary=their_statistics, expect=expected_statistics),
        Claim("grow", "The generator that is given is used, and no other", grown_again,
              group="chance"),
        Claim("grow", "A negative number is refused with ValueError", grow_refusals,
              group="refusals"),
    ),
    "reply": (
        Claim("reply", "It says the most likely tokens up to a stop", replied, gate=True),
        Claim("reply", "It is what `generate` says at temperature 0, up to a stop",
              replied_by_a_gpt2, also=(replied_by_generate,)),
        Claim("reply", "The prompt stays as it is, and dropout is off", reply_kept,
              group="dropout"),
        Claim("reply", "An empty prompt is refused with ValueError", reply_refusals,
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
