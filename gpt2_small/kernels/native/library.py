"""Build and load `kernels.c`, C code for a CPU, where there is a compiler.

Elsewhere torch's operators compute the same, more slowly.
"""

import ctypes
from functools import cache
from pathlib import Path

import torch

from gpt2_small.kernels.native.compiler import CannotCompile, library

SOURCE = Path(__file__).with_name("kernels.c")
MACROS = {torch.float32: (), torch.bfloat16: ("BFLOAT16",)}
Pointer, Count = ctypes.c_void_p, ctypes.c_long
ARGUMENTS = {
    "decoding_step": [Pointer] * 5 + [Count] * 2 + [Pointer] * 4,
}


@cache
def compiled(source: Path, dtype: torch.dtype) -> ctypes.CDLL | str:
    """The library for weights of this type, or the reason why there is none."""
    try:
        made = library(source, *MACROS[dtype])
    except CannotCompile as error:
        return str(error)
    for name, types in ARGUMENTS.items():
        function = getattr(made, name)
        function.argtypes, function.restype = types, None
    return made


def unavailable(dtype: torch.dtype, device: torch.device) -> str | None:
    """The reason why no C code runs for this type on this device; None where it runs."""
    if device.type != "cpu":
        return "it runs on a CPU"
    if dtype not in MACROS:
        return "it is for float32 and bfloat16"
    made = compiled(SOURCE, dtype)
    return made if isinstance(made, str) else None


def library_for(dtype: torch.dtype) -> ctypes.CDLL:
    """The library for weights of this type, which must not be `unavailable`."""
    made = compiled(SOURCE, dtype)
    assert not isinstance(made, str), made
    return made
