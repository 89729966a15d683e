"""Matrix products with weights stored [in out], on the fastest routine at hand.

In float32 on a CPU torch's own product calls MKL, and on processors that MKL does not favour oneDNN
is two to four times as fast. torch reaches oneDNN through the operators that its compiler uses;
where they are missing or switched off (`torch.backends.mkldnn.enabled`), torch's own product runs.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable


def onednn_serves(*tensors: Tensor) -> bool:
    """Whether oneDNN's operators can take these tensors as they are."""
    if torch.compiler.is_compiling() or any(tensor.device.type != "cpu" for tensor in tensors):
        return False
    mkldnn = torch.backends.mkldnn
    is_on = mkldnn.is_available() and bool(mkldnn.enabled)
    return is_on and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def product(
    left: Float[Tensor, "rows inner"],
    right: Float[Tensor, "inner out"],
    bias: Float[Tensor, "out"] | None = None,
) -> Float[Tensor, "rows out"]:
    """left @ right + bias, contiguous, outside of autograd."""
    if left.dtype == torch.float32 and onednn_serves(left, right):
        return torch.ops.mkldnn._linear_pointwise(left, right.mT, bias, "none", [], "")
    return left @ right if bias is None else torch.addmm(bias, left, right)


class _Affine(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(inputs, weight)
        return product(inputs, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        inputs, weight = ctx.saved_tensors
        needs_inputs, needs_weight, needs_bias = ctx.needs_input_grad
        return (
            product(grad, weight.mT) if needs_inputs else None,
            product(inputs.mT, grad) if needs_weight else None,
            grad.sum(dim=0) if needs_bias else None,
        )


def affine(
    inputs: Float[Tensor, "*positions inner"],
    weight: Float[Tensor, "inner out"],
    bias: Float[Tensor, "out"],
) -> Float[Tensor, "*positions out"]:
    """inputs @ weight + bias, differentiable; the weight's gradient is contiguous like the weight.

    Under autocast the product runs in the type that autocast chooses.
    """
    flat = inputs.flatten(end_dim=-2)
    fast = flat.dtype == weight.dtype == torch.float32 and onednn_serves(flat, weight)
    if fast and not torch.is_autocast_enabled("cpu"):
        output = _Affine.apply(flat, weight, bias)
    else:
        output = torch.addmm(bias, flat, weight)
    return output.unflatten(0, inputs.shape[:-1])
