"""Unembedding and next-token loss in one, a chunk of positions at a time.

The logits are the largest tensor of a training step: d_vocab numbers for every position. Here they
exist for one chunk only. While a chunk's are at hand, its share of the gradients is computed too,
so that the backward pass has nothing left to do (the idea of Hsu et al. 2024, "Liger Kernel:
Efficient Triton Kernels for LLM Training", section 3.2).
"""

import math
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from gpt2_small.model.products import product


def accumulated(total: Tensor | None, left: Tensor, right: Tensor, like: Tensor) -> Tensor:
    """total + left @ right, laid out and typed like the parameter whose gradient it is."""
    if not like.is_contiguous() and like.mT.is_contiguous():
        transposed = accumulated(None if total is None else total.mT, right.mT, left.mT, like.mT)
        return transposed.mT
    if total is None:
        return product(left, right).to(like.dtype)
    if left.dtype == total.dtype:
        return total.addmm_(left, right)
    return total.add_(left @ right)


class _ChunkedLoss(torch.autograd.Function):
    """Saved for backward are the finished gradients, still to be multiplied by the loss's own."""

    @staticmethod
    def forward(
        ctx: Any,
        final: Tensor,
        unembedding: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        positions_per_chunk: int,
        wants_gradients: bool,
        dtype: torch.dtype,
    ) -> Tensor:
        needs_final, needs_weight, needs_bias = (
            wants_gradients and needed for needed in ctx.needs_input_grad[:3]
        )
        positions = targets.numel()
        weight, low_bias = unembedding.to(dtype), None if bias is None else bias.to(dtype)
        exact = torch.promote_types(dtype, torch.float32)
        losses, final_grads = [], []
        weight_grad: Tensor | None = None
        bias_grad = torch.zeros_like(bias) if needs_bias and bias is not None else None
        for start in range(0, positions, positions_per_chunk):
            inputs = final[start : start + positions_per_chunk].to(dtype)
            target = targets[start : start + positions_per_chunk, None]
            logits = product(inputs, weight, low_bias).to(exact)
            log_total = logits.logsumexp(dim=-1, keepdim=True)
            losses.append((log_total - logits.gather(-1, target)).sum())
            if not (needs_final or needs_weight or needs_bias):
                continue
            # d loss / d logits: (probability - [is the target]) / positions
            slope = logits.sub_(log_total + math.log(positions)).exp_()
            slope = slope.scatter_add_(-1, target, torch.full_like(log_total, -1 / positions))
            if bias_grad is not None:
                bias_grad += slope.sum(dim=0)
            slope = slope.to(dtype)
            if needs_final:
                final_grads.append(product(slope, weight.mT).to(final.dtype))
            if needs_weight:
                weight_grad = accumulated(weight_grad, inputs.mT, slope, like=unembedding)
        final_grad = torch.cat(final_grads) if needs_final else None
        ctx.save_for_backward(final_grad, weight_grad, bias_grad)
        return torch.stack(losses).sum() / positions

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, loss_grad: Tensor) -> tuple[Tensor | None, ...]:
        is_one = (
            loss_grad.device.type == "cpu"
            and not torch.compiler.is_compiling()
            and loss_grad.item() == 1
        )
        grads = (
            grad if grad is None or is_one else grad * loss_grad.to(grad.dtype)
            for grad in ctx.saved_tensors
        )
        return (*grads, None, None, None, None)


def chunked_loss(
    final: Float[Tensor, "positions d_model"],
    unembedding: Float[Tensor, "d_model d_vocab"],
    bias: Float[Tensor, "d_vocab"] | None,
    targets: Int[Tensor, "positions"],
    *,
    positions_per_chunk: int,
) -> Float[Tensor, ""]:
    """Mean cross-entropy, in nats, of the targets under softmax(final @ unembedding + bias).

    Holds the logits of positions_per_chunk positions at a time. Products run in autocast's type
    where that is on, the softmax in float32 at least. The gradient of a transposed unembedding is
    transposed in memory too, so that adding it to a tied embedding's costs one pass. It can be
    differentiated once.
    """
    device = final.device.type
    autocast = torch.is_autocast_enabled(device)
    dtype = torch.get_autocast_dtype(device) if autocast else final.dtype
    with torch.autocast(device, enabled=False):
        loss: Tensor = _ChunkedLoss.apply(
            final, unembedding, bias, targets, positions_per_chunk, torch.is_grad_enabled(), dtype
        )
    return loss
