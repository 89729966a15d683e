"""Define the exercises of the lesson on variants: the claims about each part."""

from pathlib import Path

from gpt2_small.checker.claims import Claim
from gpt2_small.checker.exercise_set import ExerciseSet

from .guides import GUIDES
from .mistakes import MISTAKES
from .observations import (
    activated,
    activated_by_torch,
    activated_far,
    activated_far_by_torch,
    activated_in_float32,
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
    normalised_in_float32,
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
    turned_in_float32,
    vectors_kept,
    wave_products,
    waves,
)

CLAIMS = {
    "sinusoids": (
        Claim("sinusoids", "It is the published formula", waves, also=(published_waves,),
              gate=True),
        Claim("sinusoids", "Dot products depend on the distance alone", wave_products,
              also=(equal_products,)),
    ),
    "rotary": (
        Claim("rotary", "It multiplies each pair, as a complex number, by one of length 1", turned,
              also=(turned_as_complex_numbers,), gate=True),
        Claim("rotary", "Scores depend on the distance alone", far_turned),
        Claim("rotary", "Vectors keep their lengths", lengths, also=(same_lengths,)),
        Claim("rotary", "The vectors get the right gradient", turned_gradient, group="gradient"),
        Claim("rotary", "It computes in the type of its input", turned_in_float32, group="dtypes"),
        Claim("rotary", "The vectors stay as they are", vectors_kept, group="inputs"),
        Claim("rotary", "An odd d_head is refused with ValueError", rotary_refusals,
              group="refusals"),
    ),
    "gelu": (
        Claim("gelu", "It is torch's GELU in its tanh form", activated, also=(activated_by_torch,),
              gate=True),
        Claim("gelu", "Large numbers do not overflow", activated_far,
              also=(activated_far_by_torch,)),
        Claim("gelu", "Its slope is that of torch's", slopes, also=(slopes_by_torch,),
              group="gradient"),
        Claim("gelu", "It computes in the type of its input", activated_in_float32, group="dtypes"),
        Claim("gelu", "The input stays as it is", points_kept, group="inputs"),
    ),
    "rms_norm": (
        Claim("rms_norm", "It is torch's rms_norm", normalised, also=(normalised_by_torch,),
              gate=True),
        Claim("rms_norm", "The input and the gain get the right gradients", norm_gradients,
              group="gradient"),
        Claim("rms_norm", "It computes in the type of its input", normalised_in_float32,
              group="dtypes"),
        Claim("rms_norm", "The input stays as it is", residual_kept, group="inputs"),
    ),
    "post_norm_block": (
        Claim("post_norm_block", "It is torch.nn.TransformerEncoderLayer with its norms last",
              blocked, also=(blocked_by_torch,), gate=True),
        Claim("post_norm_block", "Any functions can be its parts", blocked_simply),
        Claim("post_norm_block", "The input and all parts get the right gradients",
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
