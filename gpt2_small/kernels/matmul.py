"""Multiply matrices with weights stored [in out], by the fastest routine on this processor.

In float32 on a CPU torch's own product calls MKL, which is optimised for Intel's processors. On
other processors oneDNN is two to four times as fast; on Intel's it takes 1.2 times as long. oneDNN
is called through the operators of torch's compiler; where they are missing or switched off
(`torch.backends.mkldnn.enabled`), torch's own product runs. The choice depends on the processor's
name, not on timing, so that a resumed run rounds as before.
"""

import platform
from functools import cache
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

# With at least so many rows, the backward pass casts the weight again instead of saving the cast
# one: the cast takes little time beside the product.
ROWS_TO_CAST_AGAIN = 1024


def cpu_version_runs(*tensors: Tensor) -> bool:
    """Whether kernels run their CPU version on these tensors: eager mode, all on a CPU."""
    on_cpu = all(tensor.device.type == "cpu" for tensor in tensors)
    return on_cpu and not torch.compiler.is_compiling()


def onednn_serves(*tensors: Tensor) -> bool:
    """Whether oneDNN's operators can multiply these tensors."""
    mkldnn = torch.backends.mkldnn
    is_on = mkldnn.is_available() and bool(mkldnn.enabled)
    return is_on and cpu_version_runs(*tensors) and hasattr(torch.ops.mkldnn, "_linear_pointwise")


@cache
def has_mkl_on_intel() -> bool:
    """Whether torch has MKL, and the processor is Intel's."""
    cpuinfo = Path("/proc/cpuinfo")
    name = cpuinfo.read_text() if cpuinfo.exists() else platform.processor()
    return torch.backends.mkl.is_available() and "GenuineIntel" in name


def onednn_is_faster(*tensors: Tensor) -> bool:
    """Whether these are float32, and oneDNN multiplies them faster than torch's own product."""
    is_float32 = all(tensor.dtype == torch.float32 for tensor in tensors)
    return is_float32 and onednn_serves(*tensors) and not has_mkl_on_intel()


def rounding_choices() -> dict[str, str]:
    """The routine that computes float32 products on this CPU, for a run's config.json."""
    return {"products": "oneDNN" if onednn_is_faster(torch.zeros(1)) else "torch"}


def product(
    left: Float[Tensor, "rows inner"],
    right: Float[Tensor, "inner out"],
    bias: Float[Tensor, "out"] | None = None,
) -> Float[Tensor, "rows out"]:
    """left @ right + bias, contiguous, without autograd."""
    if onednn_is_faster(left, right):
        output: Tensor = torch.ops.mkldnn._linear_pointwise(left, right.mT, bias, "none", [], "")
        return output
    return left @ right if bias is None else torch.addmm(bias, left, right)


def product_dtype(tensor: Tensor) -> torch.dtype:
    """The type in which a product of this tensor is computed: autocast's, except for float64."""
    device = tensor.device.type
    if torch.is_autocast_enabled(device) and tensor.dtype != torch.float64:
        return torch.get_autocast_dtype(device)
    return tensor.dtype


class _Affine(torch.autograd.Function):
    """The CPU version: calls `product`, and saves the cast weight only when there are few rows."""

    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor, dtype: torch.dtype
    ) -> Tensor:
        inputs, low_weight = inputs.to(dtype), weight.to(dtype)
        saved_weight = weight if len(inputs) >= ROWS_TO_CAST_AGAIN else low_weight
        ctx.save_for_backward(inputs, saved_weight)
        ctx.weight_dtype = weight.dtype
        return product(inputs, low_weight, bias.to(dtype))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        inputs, weight = ctx.saved_tensors
        needs_inputs, needs_weight, needs_bias = ctx.needs_input_grad[:3]
        inputs_grad = product(grad, weight.to(grad.dtype).mT) if needs_inputs else None
        weight_grad = product(inputs.mT, grad).to(ctx.weight_dtype) if needs_weight else None
        bias_grad = grad.sum(dim=0) if needs_bias else None
        return inputs_grad, weight_grad, bias_grad, None


def affine(
    inputs: Float[Tensor, "*positions inner"],
    weight: Float[Tensor, "inner out"],
    bias: Float[Tensor, "out"],
) -> Float[Tensor, "*positions out"]:
    """inputs @ weight + bias; the weight's gradient is contiguous like the weight.

    Under autocast the product runs in autocast's type.
    """
    flat, dtype = inputs.flatten(end_dim=-2), product_dtype(inputs)
    is_cast = dtype != weight.dtype
    if cpu_version_runs(flat) and (is_cast or onednn_is_faster(flat, weight)):
        output: Tensor = _Affine.apply(flat, weight, bias, dtype)  # type: ignore[no-untyped-call]
    else:
        output = torch.addmm(bias, flat, weight)
    unflattened: Tensor = output.unflatten(0, inputs.shape[:-1])
    return unflattened
