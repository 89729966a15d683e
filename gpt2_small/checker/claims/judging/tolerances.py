"""Define every tolerance of the checker, each with its reason."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

Tolerances = Mapping[torch.dtype, float]

# Relative to the largest value where that is above 1. Two correct implementations order their sums
# differently. At activations of size 1 that moves float32 results (epsilon 1.2e-7) by some 1e-6;
# the exact GELU in place of its approximation, among the smallest of mistakes, by up to 4.7e-4.
FLOAT32 = 2e-5

# The reference against another whole implementation: float64 (epsilon 2.2e-16) moves by some 1e-14.
FLOAT64 = 1e-10

# A learner's file may keep constants in float32 (a tensor that holds sqrt(d_head), say), which
# moves results in float64 by 6e-8.
FLOAT64_WITH_FLOAT32_CONSTANTS = 1e-6

# 8 bits a number are 0.4 % an operation, over the few operations of a part.
BFLOAT16 = 0.06

# The reference against TransformerLens, Hugging Face and torch.
PROOF: Tolerances = {torch.float32: FLOAT32, torch.float64: FLOAT64}

# A file against its expectation.
CLAIMS: Tolerances = {
    torch.float64: FLOAT64_WITH_FLOAT32_CONSTANTS,
    torch.float32: FLOAT32,
    torch.bfloat16: BFLOAT16,
}

# Claims that are not required, whose failure is a remark: a file may compute scores or norms in
# float32, whatever its input's dtype.
REMARKS: Tolerances = {**CLAIMS, torch.float64: FLOAT32}

# Wrong files may magnify rounding, so that float32 and bfloat16 cannot distinguish two of them;
# float64 decides.
ALIKE: Tolerances = {
    torch.float64: FLOAT64_WITH_FLOAT32_CONSTANTS,
    torch.float32: 1e-2,
    torch.bfloat16: math.inf,
}

# An estimate further off than this many of its standard errors happens by chance less than once in
# 500 million (two sides of a normal distribution).
STANDARD_ERRORS = 6.0

# A statistic differs from an equal exact value by rounding only.
ROUNDING = 1e-6

# Elements that are not dropped equal the plain output / (1 - p) up to rounding, at size 1.
UNDROPPED = 1e-4

# Results of a part against the reference's stages: float64 differs by 1e-15, with float32 constants
# by 1e-7.
STAGES = 1e-5

# Fingerprints of results: float64 sums over some hundred numbers, some from float32 constants.
FINGERPRINTS = 1e-6

# Numbers of effects, and probabilities of draws: single float64 numbers, with float32 constants
# among them.
EFFECTS = 1e-6

# The rate of false alarms of all claims about drawn tokens together, at most.
FALSE_ALARM = 1e-6


def tolerance(expected: Tensor, tolerances: Tolerances = CLAIMS) -> float:
    """The largest allowed difference: the dtype's, times the largest value if above 1."""
    finite = expected[expected.isfinite()].abs()
    largest = finite.max().item() if finite.numel() else 0.0
    return tolerances.get(expected.dtype, 0.0) * max(1.0, largest)
