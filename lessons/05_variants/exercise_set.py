"""Define the exercises of the lesson on variants: the claims about each part."""

from functools import partial
from pathlib import Path

from gpt2_small.checker.claims import Claim
from gpt2_small.checker.exercise_set import ExerciseSet

from .guides import GUIDES
from .mistakes import MISTAKES
from .observations import (
    ODD_SIZES,
    SIZES,
    activated,
    activated_by_torch,
    activated_far,
    activated_far_by_torch,
    activated_in_float64,
    block_gradients,
    blocked,
    blocked_by_torch,
    blocked_simply,
    equal_products,
    far_turned,
    lengths,
    norm_gradients,
    normalised,
    normalised_by_torch,
    normalised_in_float64,
    points_kept,
    published_waves,
    residual_kept,
    rotary_refusals,
    same_lengths,
    slopes,
    slopes_by_torch,
    turned,
    turned_as_complex_numbers,
    turned_gradient,
    turned_in_float64,
    vectors_kept,
    wave_products,
    waves,
)

CLAIMS = {
    "sinusoids": (
        Claim("sinusoids", "it equals the published formula", partial(waves, SIZES),
              also=(partial(published_waves, SIZES),), gate=True),
        Claim("sinusoids", "it equals the formula for an odd width", partial(waves, ODD_SIZES),
              also=(partial(published_waves, ODD_SIZES),)),
        Claim("sinusoids", "dot products depend on the distance alone", wave_products,
              also=(equal_products,)),
    ),
    "rotary": (
        Claim("rotary", "each pair, as a complex number, is multiplied by one of length 1", turned,
              also=(turned_as_complex_numbers,), gate=True),
        Claim("rotary", "scores depend on the distance alone", far_turned),
        Claim("rotary", "vectors keep their lengths", lengths, also=(same_lengths,)),
        Claim("rotary", "correct gradient of the vectors", turned_gradient, group="gradient"),
        Claim("rotary", "it keeps float64", turned_in_float64, required=False, group="dtypes"),
        Claim("rotary", "the vectors are not modified in place", vectors_kept, group="inputs"),
        Claim("rotary", "ValueError for an odd d_head", rotary_refusals,
              group="refusals"),
    ),
    "gelu": (
        Claim("gelu", "it equals torch's tanh GELU", activated, also=(activated_by_torch,),
              gate=True),
        Claim("gelu", "large numbers do not overflow", activated_far,
              also=(activated_far_by_torch,)),
        Claim("gelu", "correct gradient, as of torch's GELU", slopes, also=(slopes_by_torch,),
              group="gradient"),
        Claim("gelu", "it keeps float64", activated_in_float64, required=False, group="dtypes"),
        Claim("gelu", "the input is not modified in place", points_kept, group="inputs"),
    ),
    "rms_norm": (
        Claim("rms_norm", "it equals torch's rms_norm", normalised, also=(normalised_by_torch,),
              gate=True),
        Claim("rms_norm", "correct gradients of the input and the gain", norm_gradients,
              group="gradient"),
        Claim("rms_norm", "it keeps float64", normalised_in_float64, required=False,
              group="dtypes"),
        Claim("rms_norm", "the input is not modified in place", residual_kept, group="inputs"),
    ),
    "post_norm_block": (
        Claim("post_norm_block", "it equals a post-norm torch.nn.TransformerEncoderLayer",
              blocked, also=(blocked_by_torch,), gate=True),
        Claim("post_norm_block", "it calls the functions it is given", blocked_simply),
        Claim("post_norm_block", "correct gradients of the input and all parts",
              block_gradients, group="gradient"),
    ),
}  # fmt: skip

EXERCISES = ExerciseSet(
    name="variants",
    reference=Path(__file__).with_name("reference.py"),
    parts=tuple(CLAIMS),
    claims=CLAIMS.__getitem__,
    mistakes=MISTAKES.__getitem__,
    guides=lambda: GUIDES,
)
