"""Compute the unembedding and the next-token loss a chunk of positions at a time.

The logits are the largest tensor of a training step: d_vocab numbers for every position. Here they
are computed for one chunk at a time, together with the chunk's share of the gradients, which the
backward pass only scales (Hsu et al. 2024, "Liger Kernel: Efficient Triton Kernels for LLM
Training", section 3.2).
"""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from gpt2_small.kernels.matmul import cpu_version_runs, product, product_dtype

# Enough rows for an efficient product, measured with benchmarks/train_step.py. On a CPU the chunk
# grows as the vocabulary shrinks. Up to two chunks are computed as one: the memory saved would not
# be worth a second pass over W_U.
CPU_POSITIONS_PER_CHUNK = 128
CPU_LOGITS_PER_CHUNK = CPU_POSITIONS_PER_CHUNK * 50_304
CUDA_POSITIONS_PER_CHUNK = 8192

# On a CPU, products that are only added or cast are computed in blocks of so many vocabulary
# entries, which stay in the processor's cache.
CPU_TOKENS_PER_BLOCK = 8192

# float16 has no numbers between 0 and 6e-8, nor above 65,504. Its products take a gradient that is
# as large as fits when this many positions add up.
FLOAT16_POSITIONS = 512


def chunk_size(positions: int, d_vocab: int, *, on_cpu: bool) -> int:
    """The default number of positions whose logits exist at once."""
    if not on_cpu:
        return min(positions, CUDA_POSITIONS_PER_CHUNK)
    chunk = max(CPU_POSITIONS_PER_CHUNK, CPU_LOGITS_PER_CHUNK // d_vocab)
    return positions if positions <= 2 * chunk else chunk


def averaged_positions(dtype: torch.dtype, positions: int, per_chunk: int) -> float:
    """The number of positions over which the loss is averaged while its gradients are computed.

    In float16 it is smaller than `positions`, over which a likely token's probability would become
    0; the gradients are scaled afterwards, in the weights' type.
    """
    if dtype != torch.float16:
        return positions
    return max(1.0, min(positions, per_chunk) / FLOAT16_POSITIONS)


def add_product(
    total: Tensor | None, left: Tensor, right: Tensor, dtype: torch.dtype
) -> Float[Tensor, "rows columns"]:
    """total + left @ right in this type; in place when there is a total."""
    if left.device.type != "cpu" or (total is None and left.dtype == dtype):
        added = product(left, right).to(dtype)
        return added if total is None else total.add_(added)
    result = left.new_empty(len(left), right.shape[1], dtype=dtype) if total is None else total
    for start in range(0, len(left), CPU_TOKENS_PER_BLOCK):
        rows = slice(start, start + CPU_TOKENS_PER_BLOCK)
        if total is None:
            result[rows] = product(left[rows], right)
        else:
            result[rows] += product(left[rows], right)
    return result


def logits_of(
    inputs: Tensor, unembedding: Tensor, bias: Tensor | None, dtype: torch.dtype
) -> Float[Tensor, "rows d_vocab"]:
    """inputs @ unembedding + bias, cast to this type."""
    if inputs.dtype == dtype or not cpu_version_runs(inputs):
        return product(inputs, unembedding, bias).to(dtype)
    logits = inputs.new_empty(len(inputs), unembedding.shape[1], dtype=dtype)
    for start in range(0, logits.shape[1], CPU_TOKENS_PER_BLOCK):
        columns = slice(start, start + CPU_TOKENS_PER_BLOCK)
        block_bias = None if bias is None else bias[columns]
        logits[:, columns] = product(inputs, unembedding[:, columns], block_bias)
    return logits


def logits_gradient(
    weighted: Float[Tensor, "rows d_vocab"], target: Int[Tensor, "rows 1"], share: float
) -> Float[Tensor, "rows d_vocab"]:
    """The gradient of the mean loss: the weighted probabilities, minus `share` at the target.

    weighted: the probabilities times `share`.
    share: 1 / number of positions in the mean.
    """
    if cpu_version_runs(weighted):
        return weighted.scatter_add_(
            -1, target, torch.full_like(target, -share, dtype=weighted.dtype)
        )
    # The compiler fuses a comparison with the softmax, but not a scatter.
    is_target = torch.arange(weighted.shape[-1], device=target.device) == target
    return torch.where(is_target, weighted - share, weighted)


class _ChunkedLoss(torch.autograd.Function):
    """Computes the gradients in the forward pass; backward multiplies them by the loss's own."""

    @staticmethod
    def forward(
        ctx: Any,
        final: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        is_transposed: bool,
        positions_per_chunk: int,
        wants_gradients: bool,
        dtype: torch.dtype,
    ) -> Tensor:
        needs_final, needs_weight, needs_bias = (
            wants_gradients and needed for needed in ctx.needs_input_grad[:3]
        )
        positions, exact = targets.numel(), torch.promote_types(dtype, torch.float32)
        unembedding = (weight.mT if is_transposed else weight).to(dtype)
        low_bias = None if bias is None else bias.to(dtype)
        averaged = averaged_positions(dtype, positions, positions_per_chunk)
        losses, final_grads, weight_grad = [], [], None
        bias_grad = torch.zeros_like(bias) if needs_bias and bias is not None else None
        for start in range(0, positions, positions_per_chunk):
            inputs = final[start : start + positions_per_chunk].to(dtype)
            target = targets[start : start + positions_per_chunk, None]
            logits = logits_of(inputs, unembedding, low_bias, exact)
            target_logit, largest = logits.gather(-1, target), logits.amax(-1, keepdim=True)
            odds = logits.sub_(largest).exp_()
            total = odds.sum(-1, keepdim=True)
            losses.append((largest + total.log() - target_logit).sum())
            if not (needs_final or needs_weight or needs_bias):
                continue
            slope = logits_gradient(odds.mul_(1 / (averaged * total)), target, 1 / averaged)
            if bias_grad is not None:
                bias_grad += slope.sum(dim=0)
            slope = slope.to(dtype)
            if needs_final:
                final_grads.append(product(slope, unembedding.mT).to(final.dtype))
            if needs_weight:
                factors = (slope.mT, inputs) if is_transposed else (inputs.mT, slope)
                weight_grad = add_product(weight_grad, *factors, weight.dtype)
        final_grad = torch.cat(final_grads) if needs_final else None
        grads = (final_grad, weight_grad, bias_grad)
        for grad in grads:
            if grad is not None and averaged != positions:
                grad.mul_(averaged / positions)
        ctx.save_for_backward(*grads)
        return torch.stack(losses).sum() / positions

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, loss_grad: Tensor) -> tuple[Tensor | None, ...]:
        is_one = cpu_version_runs(loss_grad) and loss_grad.item() == 1
        grads = (
            grad if grad is None or is_one else grad * loss_grad.to(grad.dtype)
            for grad in ctx.saved_tensors
        )
        return (*grads, None, None, None, None, None)


def chunked_loss(
    final: Float[Tensor, "positions d_model"],
    weight: Float[Tensor, "_ _"],
    bias: Float[Tensor, "d_vocab"] | None,
    targets: Int[Tensor, "positions"],
    *,
    is_transposed: bool,
    positions_per_chunk: int | None = None,
) -> Float[Tensor, ""]:
    """Mean cross-entropy, in nats, of the targets under softmax(final @ weight + bias).

    Stores the logits of positions_per_chunk positions at a time; left out, `chunk_size`. Products
    run in autocast's type where that is on, the softmax in float32 at least. It can be
    differentiated once.

    weight: [d_model d_vocab], or [d_vocab d_model] where is_transposed; its gradient is contiguous.
    """
    dtype, on_cpu = product_dtype(final), final.device.type == "cpu"
    d_vocab = weight.shape[0] if is_transposed else weight.shape[1]
    default = chunk_size(len(targets), d_vocab, on_cpu=on_cpu)
    with torch.autocast(final.device.type, enabled=False):
        loss: Tensor = _ChunkedLoss.apply(  # type: ignore[no-untyped-call]
            final,
            weight,
            bias,
            targets,
            is_transposed,
            positions_per_chunk or max(1, default),
            torch.is_grad_enabled(),
            dtype,
        )
    return loss
