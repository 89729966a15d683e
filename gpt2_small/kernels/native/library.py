"""C code for a CPU, `kernels.c`: where there is a compiler for it, and its GELU.

Where there is none, torch's operators compute the same, more slowly.
"""

import ctypes
from functools import cache
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gpt2_small.kernels.native.compiler import CannotCompile, library

SOURCE = Path(__file__).with_name("kernels.c")
MACROS = {torch.float32: (), torch.bfloat16: ("BFLOAT16",)}
Pointer, Count = ctypes.c_void_p, ctypes.c_long
ARGUMENTS = {
    "gelu": [Pointer] * 2 + [Count] * 2,
    "gelu_backward": [Pointer] * 3 + [Count] * 2,
    "decoding_step": [Pointer] * 5 + [Count] * 2 + [Pointer] * 4,
}
# Fewer numbers are not worth a second thread.
NUMBERS_PER_THREAD = 1 << 14


@cache
def compiled(source: Path, dtype: torch.dtype) -> ctypes.CDLL | str:
    """The library for numbers of this type, or why there is none."""
    try:
        made = library(source, *MACROS[dtype])
    except CannotCompile as error:
        return str(error)
    for name, types in ARGUMENTS.items():
        function = getattr(made, name)
        function.argtypes, function.restype = types, None
    return made


def unavailable(dtype: torch.dtype, device: torch.device) -> str | None:
    """Why there is no C code for numbers of this type on this device, or None where there is."""
    if device.type != "cpu":
        return "it runs on a CPU"
    if dtype not in MACROS:
        return "it is for float32 and bfloat16"
    made = compiled(SOURCE, dtype)
    return made if isinstance(made, str) else None


def library_for(dtype: torch.dtype) -> ctypes.CDLL:
    """The library, where it is not `unavailable`."""
    made = compiled(SOURCE, dtype)
    assert not isinstance(made, str), made
    return made


def serves(tensor: Tensor) -> bool:
    """Whether this tensor can be given to C code, for which its numbers must lie in memory.

    Those of a FakeTensor do not, nor those that torch maps over or compiles for.
    """
    if torch.compiler.is_compiling() or type(tensor) not in (Tensor, nn.Parameter):
        return False
    try:
        tensor.data_ptr()
    except RuntimeError:
        return False
    return unavailable(tensor.dtype, tensor.device) is None


def gelu_tanh(pre: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """`solution.gelu_tanh` of a tensor that C code `serves`, outside of autograd."""
    pre = pre.contiguous()
    post = torch.empty_like(pre)
    library_for(pre.dtype).gelu(post.data_ptr(), pre.data_ptr(), *_count_and_threads(pre))
    return post


def gelu_tanh_backward(
    grad: Float[Tensor, "*shape"], pre: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """The gradient with regard to `pre`, from that with regard to what `gelu_tanh` made of it."""
    grad, pre = grad.contiguous(), pre.contiguous()
    pre_grad = torch.empty_like(pre)
    pointers = (tensor.data_ptr() for tensor in (pre_grad, grad, pre))
    library_for(pre.dtype).gelu_backward(*pointers, *_count_and_threads(pre))
    return pre_grad


def _count_and_threads(tensor: Tensor) -> tuple[int, int]:
    count = tensor.numel()
    return count, min(torch.get_num_threads(), 1 + count // NUMBERS_PER_THREAD)
