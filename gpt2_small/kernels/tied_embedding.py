"""Look up token embeddings in a weight shared with the unembedding."""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from gpt2_small.kernels.matmul import cpu_version_runs


class _SharedEmbedding(torch.autograd.Function):
    """The CPU version: adds the rows' gradient to the unembedding's in place.

    Both gradients arrive together, and the unembedding's is used nowhere else.
    """

    @staticmethod
    def forward(ctx: Any, weight: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(tokens)
        return weight[tokens], weight.view_as(weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, rows_grad: Tensor, weight_grad: Tensor) -> tuple[Tensor, None]:
        (tokens,) = ctx.saved_tensors
        return weight_grad.index_add_(0, tokens.flatten(), rows_grad.flatten(end_dim=-2)), None


def shared_embedding(
    weight: Float[Tensor, "d_vocab d_model"], tokens: Int[Tensor, "batch seq"]
) -> tuple[Float[Tensor, "batch seq d_model"], Float[Tensor, "d_vocab d_model"]]:
    """The embeddings of the tokens, and the weight that the unembedding is to use."""
    if cpu_version_runs(weight, tokens):
        embed, weight = _SharedEmbedding.apply(weight, tokens)  # type: ignore[no-untyped-call]
        return embed, weight
    return F.embedding(tokens, weight), weight
