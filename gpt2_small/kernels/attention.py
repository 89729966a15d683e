"""Compute causal attention without storing the pattern."""

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor


def attends_in_full(device: torch.device) -> bool:
    """Whether attention runs in the weights' type even under autocast: on a CPU.

    There torch's backward pass takes eight times as long in bfloat16 as in float32.
    """
    return device.type == "cpu"


def causal_attention(
    projected: Float[Tensor, "batch seq three_head_d_head"],
    d_head: int,
    *,
    dropout: float,
    dtype: torch.dtype,
) -> Float[Tensor, "batch seq head_d_head"]:
    """The pattern-weighted values of all heads.

    projected: queries, then keys, then values.
    dropout: the probability of zeroing an element of the pattern.
    dtype: of the weights.
    """
    if attends_in_full(projected.device):
        projected = projected.to(dtype)
    query, key, value = rearrange(
        projected,
        "batch seq (three head d_head) -> three batch head seq d_head",
        three=3,
        d_head=d_head,
    )
    with torch.autocast(query.device.type, enabled=False):
        z = F.scaled_dot_product_attention(query, key, value, is_causal=True, dropout_p=dropout)
    return rearrange(z, "batch head seq d_head -> batch seq (head d_head)")
