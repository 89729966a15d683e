"""Apply GPT-2's GELU in the form that is fastest where it runs."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def gelu_tanh(pre: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """`solution.gelu_tanh`; compiled on a CPU, x sigmoid(2 u) in place of x (1 + tanh u) / 2.

    The two are equal, and the compiler's exponential takes half the time of its tanh.
    """
    if pre.device.type != "cpu" or not torch.compiler.is_compiling():
        return F.gelu(pre, approximate="tanh")
    wide = pre.to(torch.promote_types(pre.dtype, torch.float32))
    twice_u = 2 * math.sqrt(2 / math.pi) * (wide + 0.044715 * wide**3)
    return (wide * torch.sigmoid(twice_u)).to(pre.dtype)
