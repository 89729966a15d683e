"""Define the exercises of the lesson from one head to GPT: the claims about each part."""

from pathlib import Path

from gpt2_small.checker.claims import Claim
from gpt2_small.checker.exercise_set import ExerciseSet

from .guides import GUIDES
from .mistakes import MISTAKES
from .observations import (
    block_by_torch,
    computed,
    fewer_blocks,
    full_context,
    gradients,
    head_by_torch,
    heads_by_torch,
    in_float32,
    input_kept,
    length_refusals,
    logits_by_transformer_lens,
    mlp_by_torch,
    sharp_head,
    stored_model,
    without_future,
)


def usual_claims(part: str) -> tuple[Claim, ...]:
    return (
        Claim(part, "No position sees a later one", without_future(part)),
        Claim(part, "The input and the weights get the right gradients", gradients(part),
              group="gradient"),
        Claim(part, "It computes in the type of its input", in_float32(part), group="dtypes"),
        Claim(part, "The input stays as it is", input_kept(part), group="inputs"),
    )  # fmt: skip


CLAIMS = {
    "head": (
        Claim("head", "It is torch's causal attention of the projected positions",
              computed("head"), also=(head_by_torch,), gate=True),
        Claim("head", "Large scores do not overflow", sharp_head),
        *usual_claims("head"),
    ),
    "multi_head": (
        Claim("multi_head", "It is torch.nn.MultiheadAttention, causal", computed("multi_head"),
              also=(heads_by_torch,), gate=True),
        *usual_claims("multi_head"),
    ),
    "mlp": (
        Claim("mlp", "It is two linear maps of torch with its GELU between them", computed("mlp"),
              also=(mlp_by_torch,), gate=True),
        *usual_claims("mlp"),
    ),
    "block": (
        Claim("block", "It is torch.nn.TransformerEncoderLayer with its norms first, causal",
              computed("block"), also=(block_by_torch,), gate=True),
        *usual_claims("block"),
    ),
    "gpt": (
        Claim("gpt", "Its logits are right", computed("gpt"), gate=True),
        Claim("gpt", "It is TransformerLens's GPT-2", stored_model,
              also=(logits_by_transformer_lens,)),
        Claim("gpt", "It runs as many blocks as it is asked for", fewer_blocks),
        Claim("gpt", "A text of n_ctx tokens fits", full_context),
        *usual_claims("gpt"),
        Claim("gpt", "More than n_ctx tokens are refused with ValueError", length_refusals,
              group="refusals"),
    ),
}  # fmt: skip

EXERCISES = ExerciseSet(
    name="gpt",
    reference=Path(__file__).with_name("reference.py"),
    parts=tuple(CLAIMS),
    claims=CLAIMS.__getitem__,
    mistakes=MISTAKES.__getitem__,
    guides=lambda: GUIDES,
)
