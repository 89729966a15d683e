"""Project to the queries, keys and values of all heads in one product."""

from collections.abc import Sequence
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from gpt2_small.kernels.matmul import (
    ROWS_TO_CAST_AGAIN,
    affine,
    cpu_version_runs,
    product,
    product_dtype,
)


def side_by_side(
    *weights: Float[Tensor, "head d_model d_head"],
) -> Float[Tensor, "d_model weight_head_d_head"]:
    """Concatenate weights of heads into one matrix: all columns of the first, then the second."""
    columns = [
        rearrange(weight, "head d_model d_head -> d_model head d_head") for weight in weights
    ]
    return torch.cat(columns, dim=1).flatten(start_dim=1)


def split_heads(
    joined: Float[Tensor, "d_model three_head_d_head"], head: int, dtype: torch.dtype
) -> tuple[Float[Tensor, "head d_model d_head"], ...]:
    """Split a matrix made by `side_by_side` into its three weights, cast to this type."""
    parts = rearrange(
        joined, "d_model (three head d_head) -> three head d_model d_head", three=3, head=head
    )
    contiguous = torch.contiguous_format
    return tuple(part.to(dtype, memory_format=contiguous, copy=True) for part in parts)


class _SideBySideCast(torch.autograd.Function):
    """Casts three weights `side_by_side`; backward splits and casts the gradient in one pass."""

    @staticmethod
    def forward(ctx: Any, dtype: torch.dtype, *weights: Tensor) -> Tensor:
        ctx.head, ctx.dtype = weights[0].shape[0], weights[0].dtype
        return side_by_side(*(weight.to(dtype) for weight in weights))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return None, *split_heads(grad, ctx.head, ctx.dtype)


def fused_weight(
    weights: Sequence[Float[Tensor, "head d_model d_head"]], dtype: torch.dtype
) -> Float[Tensor, "d_model three_head_d_head"]:
    """The weight of one product that computes queries, keys and values of all heads."""
    if dtype != weights[0].dtype:
        cast: Tensor = _SideBySideCast.apply(dtype, *weights)  # type: ignore[no-untyped-call]
        return cast
    return side_by_side(*weights)


class _Projection(torch.autograd.Function):
    """The CPU version: concatenates the three weights again in the backward pass.

    It saves the concatenated weight only when it is cast and there are few rows: casting again
    would take longer then, and a cast weight has half the size.
    """

    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, bias: Tensor, dtype: torch.dtype, *weights: Tensor
    ) -> Tensor:
        inputs = inputs.to(dtype)
        weight = side_by_side(*(each.to(dtype) for each in weights))
        is_saved = dtype != weights[0].dtype and len(inputs) < ROWS_TO_CAST_AGAIN
        ctx.save_for_backward(inputs, weight if is_saved else None, *weights)
        return product(inputs, weight, bias.to(dtype))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        inputs, fused, *weights = ctx.saved_tensors
        needs_inputs, needs_bias, _, *needs_weights = ctx.needs_input_grad
        inputs_grad = bias_grad = None
        weight_grads: tuple[Tensor | None, ...] = (None,) * len(weights)
        if needs_inputs:
            if fused is None:
                fused = side_by_side(*(each.to(grad.dtype) for each in weights))
            inputs_grad = product(grad, fused.mT)
        if needs_bias:
            bias_grad = grad.sum(dim=0)
        if any(needs_weights):
            weight_grads = split_heads(product(inputs.mT, grad), len(weights[0]), weights[0].dtype)
        return inputs_grad, bias_grad, None, *weight_grads


def query_key_value(
    residual: Float[Tensor, "batch seq d_model"],
    weights: Sequence[Float[Tensor, "head d_model d_head"]],
    biases: Sequence[Float[Tensor, "head d_head"]],
) -> Float[Tensor, "batch seq three_head_d_head"]:
    """Queries, then keys, then values of all heads; weights and biases in the same order."""
    bias, dtype = torch.cat([*biases]).flatten(), product_dtype(residual)
    if not cpu_version_runs(residual):
        return affine(residual, fused_weight(weights, dtype), bias)
    projected: Tensor = _Projection.apply(residual.flatten(end_dim=-2), bias, dtype, *weights)  # type: ignore[no-untyped-call]
    unflattened: Tensor = projected.unflatten(0, residual.shape[:-1])
    return unflattened
