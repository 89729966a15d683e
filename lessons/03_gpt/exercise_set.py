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
    in_float64,
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
        Claim(part, "no position depends on a later one", without_future(part)),
        Claim(part, "correct gradients of the input and the weights", gradients(part),
              group="gradient"),
        Claim(part, "it keeps float64", in_float64(part), required=False, group="dtypes"),
        Claim(part, "the input is not modified in place", input_kept(part), group="inputs"),
    )  # fmt: skip


CLAIMS = {
    "head": (
        Claim("head", "it equals torch's causal attention of the projected positions",
              computed("head"), also=(head_by_torch,), gate=True),
        Claim("head", "large scores do not overflow", sharp_head),
        *usual_claims("head"),
    ),
    "multi_head": (
        Claim("multi_head", "it is a causal torch.nn.MultiheadAttention", computed("multi_head"),
              also=(heads_by_torch,), gate=True),
        *usual_claims("multi_head"),
    ),
    "mlp": (
        Claim("mlp", "it equals torch's linear, GELU, linear", computed("mlp"),
              also=(mlp_by_torch,), gate=True),
        *usual_claims("mlp"),
    ),
    "block": (
        Claim("block", "it equals a causal torch.nn.TransformerEncoderLayer with norm_first",
              computed("block"), also=(block_by_torch,), gate=True),
        *usual_claims("block"),
    ),
    "gpt": (
        Claim("gpt", "correct logits", computed("gpt"), gate=True),
        Claim("gpt", "it equals TransformerLens's GPT-2", stored_model,
              also=(logits_by_transformer_lens,)),
        Claim("gpt", "it runs all n_layers blocks", fewer_blocks),
        Claim("gpt", "a text of n_ctx tokens fits", full_context),
        *usual_claims("gpt"),
        Claim("gpt", "ValueError for more than n_ctx tokens", length_refusals,
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
