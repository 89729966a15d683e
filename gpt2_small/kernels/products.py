"""Matrix products with weights stored [in out], on the fastest routine at hand.

In float32 on a CPU torch's own product calls MKL, which is made for Intel's processors. On others
oneDNN is two to four times as fast; on Intel's it takes 1.2 times as long. torch reaches oneDNN
through the operators that its compiler uses; where they are missing or switched off
(`torch.backends.mkldnn.enabled`), torch's own product runs. The choice is made by the processor's
name and not by a race, so that a run that goes on adds in the order in which it began.
"""

import math
import platform
from functools import cache
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from gpt2_small.kernels.native import library as native

# The wider a model, the less of its time goes into the GELU: above this width it is made again
# instead of kept. At a width of 512 that would cost a tenth of a step where torch makes it.
WIDEST_KEPT = 1024

# From so many rows on a weight is cast again for the backward pass instead of kept: beside their
# products the cast is little.
ROWS_TO_CAST_AGAIN = 1024


def onednn_serves(*tensors: Tensor) -> bool:
    """Whether oneDNN's operators can take these tensors as they are."""
    if torch.compiler.is_compiling() or any(tensor.device.type != "cpu" for tensor in tensors):
        return False
    mkldnn = torch.backends.mkldnn
    is_on = mkldnn.is_available() and bool(mkldnn.enabled)
    return is_on and hasattr(torch.ops.mkldnn, "_linear_pointwise")


@cache
def mkl_is_at_home() -> bool:
    """Whether torch has MKL, on a processor of its maker."""
    described = Path("/proc/cpuinfo")
    name = described.read_text() if described.exists() else platform.processor()
    return torch.backends.mkl.is_available() and "GenuineIntel" in name


def onednn_is_faster(*tensors: Tensor) -> bool:
    """Whether these are float32, and oneDNN multiplies them faster than torch's own product."""
    is_float32 = all(tensor.dtype == torch.float32 for tensor in tensors)
    return is_float32 and onednn_serves(*tensors) and not mkl_is_at_home()


def product(
    left: Float[Tensor, "rows inner"],
    right: Float[Tensor, "inner out"],
    bias: Float[Tensor, "out"] | None = None,
) -> Float[Tensor, "rows out"]:
    """left @ right + bias, contiguous, outside of autograd."""
    if onednn_is_faster(left, right):
        return torch.ops.mkldnn._linear_pointwise(left, right.mT, bias, "none", [], "")
    return left @ right if bias is None else torch.addmm(bias, left, right)


def gelu_forward(pre: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """`solution.gelu_tanh`, outside of autograd."""
    return native.gelu_tanh(pre) if native.serves(pre) else F.gelu(pre, approximate="tanh")


def gelu_backward(
    grad: Float[Tensor, "*shape"], pre: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """The gradient of what is before a `gelu_forward` from that of what is behind it."""
    if native.serves(pre) and native.serves(grad) and grad.dtype == pre.dtype:
        return native.gelu_tanh_backward(grad, pre)
    return torch.ops.aten.gelu_backward(grad, pre, approximate="tanh")


class _Affine(torch.autograd.Function):
    """Where a GELU comes first and is wide, it is made again for the backward pass."""

    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor, dtype: torch.dtype, gelu: bool
    ) -> Tensor:
        inputs, low_weight = inputs.to(dtype), weight.to(dtype)
        factor = gelu_forward(inputs) if gelu else inputs
        is_kept = not gelu or factor.shape[-1] <= WIDEST_KEPT
        kept_weight = weight if len(inputs) >= ROWS_TO_CAST_AGAIN else low_weight
        ctx.save_for_backward(inputs, kept_weight, factor if is_kept else None)
        ctx.gelu, ctx.dtypes = gelu, (weight.dtype, bias.dtype)
        return product(factor, low_weight, bias.to(dtype))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        inputs, weight, factor = ctx.saved_tensors
        needs_inputs, needs_weight, needs_bias = ctx.needs_input_grad[:3]
        inputs_grad = weight_grad = bias_grad = None
        if needs_weight:
            if factor is None:
                factor = gelu_forward(inputs) if ctx.gelu else inputs
            weight_grad = product(factor.mT, grad).to(ctx.dtypes[0])
        if needs_bias:
            bias_grad = grad.sum(dim=0)
        if needs_inputs:
            inputs_grad = product(grad, weight.to(grad.dtype).mT)
            if ctx.gelu:
                inputs_grad = gelu_backward(inputs_grad, inputs)
        return inputs_grad, weight_grad, bias_grad, None, None


def gelu_tanh(pre: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """`solution.gelu_tanh`; for a CPU's compiler x (1 + tanh u) / 2 is x sigmoid(2 u).

    The code that it makes for an exponential takes half the time of that for a tanh.
    """
    if pre.device.type != "cpu" or not torch.compiler.is_compiling():
        return F.gelu(pre, approximate="tanh")
    wide = pre.to(torch.promote_types(pre.dtype, torch.float32))
    twice_u = 2 * math.sqrt(2 / math.pi) * (wide + 0.044715 * wide**3)
    return (wide * torch.sigmoid(twice_u)).to(pre.dtype)


def product_dtype(tensor: Tensor) -> torch.dtype:
    """The type in which a product of this tensor is made: autocast's, which lets float64 be."""
    device = tensor.device.type
    if torch.is_autocast_enabled(device) and tensor.dtype != torch.float64:
        return torch.get_autocast_dtype(device)
    return tensor.dtype


def affine(
    inputs: Float[Tensor, "*positions inner"],
    weight: Float[Tensor, "inner out"],
    bias: Float[Tensor, "out"],
    *,
    gelu: bool = False,
) -> Float[Tensor, "*positions out"]:
    """f(inputs) @ weight + bias, differentiable, f being `solution.gelu_tanh` where gelu is set.

    The weight's gradient is contiguous like the weight. Under autocast the product runs in the type
    that autocast chooses.
    """
    flat, dtype = inputs.flatten(end_dim=-2), product_dtype(inputs)
    by_hand = flat.device.type == "cpu" and not torch.compiler.is_compiling()
    if by_hand and (dtype != weight.dtype or gelu or onednn_is_faster(flat, weight)):
        output = _Affine.apply(flat, weight, bias, dtype, gelu)
    else:
        factor = gelu_tanh(flat) if gelu else flat
        output = torch.addmm(bias, factor, weight)
    return output.unflatten(0, inputs.shape[:-1])


def rounding_choices() -> dict[str, str]:
    """Which routines compute float32 products and the GELU of a training step on this CPU."""
    probe = torch.zeros(1)
    return {
        "products": "oneDNN" if onednn_is_faster(probe) else "torch",
        "gelu": "native" if native.serves(probe) else "torch",
    }
