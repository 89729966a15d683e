"""From averaging to attention: four ways to look back, the last of which learns where to look.

Every function gives each position a mixture of the vectors of the positions up to and including
its own, in the shape [batch seq d_model] that it was given.
"""

import math

import torch
from einops import einsum
from jaxtyping import Float
from torch import Tensor


def average_by_loop(
    values: Float[Tensor, "batch seq d_model"],
) -> Float[Tensor, "batch seq d_model"]:
    """Give every position the mean of the vectors up to and including its own, in a loop."""
    means = [values[:, : position + 1].mean(dim=1) for position in range(values.shape[1])]
    return torch.stack(means, dim=1)


def average_by_matrix(
    values: Float[Tensor, "batch seq d_model"],
) -> Float[Tensor, "batch seq d_model"]:
    """The same mean as one product with a matrix [seq seq] whose row p has 1 / (p + 1) up to p."""
    seq = values.shape[1]
    weights = torch.ones(seq, seq, dtype=values.dtype).tril()
    weights = weights / weights.sum(dim=1, keepdim=True)
    return einsum(weights, values, "seq_q seq_k, batch seq_k d_model -> batch seq_q d_model")


def average_by_softmax(
    values: Float[Tensor, "batch seq d_model"],
) -> Float[Tensor, "batch seq d_model"]:
    """The same mean as a softmax of scores: 0 where a position may look, -inf where it may not."""
    seq = values.shape[1]
    scores = torch.full((seq, seq), -math.inf, dtype=values.dtype).triu(diagonal=1)
    pattern = scores.softmax(dim=-1)
    return einsum(pattern, values, "seq_q seq_k, batch seq_k d_model -> batch seq_q d_model")


def attend(
    query: Float[Tensor, "batch seq d_head"],
    key: Float[Tensor, "batch seq d_head"],
    values: Float[Tensor, "batch seq d_model"],
) -> Float[Tensor, "batch seq d_model"]:
    """One attention head: the scores are dot products of queries and keys over sqrt(d_head).

    The future is hidden as above (Vaswani et al. 2017, section 3.2.1). With equal scores it is the
    mean again.
    """
    seq, d_head = query.shape[1:]
    scores = einsum(query, key, "batch seq_q d_head, batch seq_k d_head -> batch seq_q seq_k")
    mask = torch.full((seq, seq), -math.inf, dtype=values.dtype).triu(diagonal=1)
    pattern = (scores / math.sqrt(d_head) + mask).softmax(dim=-1)
    return einsum(pattern, values, "batch seq_q seq_k, batch seq_k d_model -> batch seq_q d_model")
