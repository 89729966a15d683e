"""The decoding step of `kernels.c`: its weights in memory, and the call."""

import ctypes
import mmap
import sys
from contextlib import suppress
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from gpt2_small.kernels.native import library as native
from gpt2_small.kernels.native.library import Pointer
from gpt2_small.model.kv_cache import KeyValueCache
from gpt2_small.model.projection import Part, fused_projection

MOST_ROWS = 8
LINE_BYTES = 64
_SIZES = ("n_layers", "n_heads", "d_head", "d_mlp", "n_ctx", "d_vocab")


class _Norm(ctypes.Structure):
    _fields_ = [("gain", Pointer), ("bias", Pointer)]


class _Affine(ctypes.Structure):
    _fields_ = [("weight", Pointer), ("bias", Pointer)]


class _Block(ctypes.Structure):
    _fields_ = [
        ("ln1", _Norm),
        ("query_key_value", _Affine),
        ("output", _Affine),
        ("ln2", _Norm),
        ("mlp_in", _Affine),
        ("mlp_out", _Affine),
        ("keys", Pointer),
        ("values", Pointer),
    ]


class _Model(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_long) for name in _SIZES),
        ("eps", ctypes.c_float),
        ("blocks", ctypes.POINTER(_Block)),
        ("ln_final", _Norm),
        ("unembedding", _Affine),
    ]


class NativeStep:
    """Reads the next token of up to MOST_ROWS rows; `native.unavailable` says where not.

    The weights lie [out in], as they are now, in memory of their own.
    """

    @torch.no_grad()
    def __init__(self, model: Part, dtype: torch.dtype) -> None:
        self._library, self._config = native.library_for(dtype), model.config
        self._weights = _Weights(model.config, dtype)
        self._vectors: list[Tensor] = []
        tied, unembed = model.embed.W_E.mT, model.unembed
        self._model = _Model(
            **{name: getattr(model.config, name) for name in _SIZES},
            eps=model.config.layer_norm_eps,
            blocks=(_Block * model.config.n_layers)(*map(self._block, model.blocks)),
            ln_final=self._norm(model.ln_final),
            unembedding=self._affine(
                *((tied, None) if unembed is None else (unembed.W_U, unembed.b_U))
            ),
        )

    def _block(self, block: Part) -> _Block:
        return _Block(
            ln1=self._norm(block.ln1),
            query_key_value=self._affine(*fused_projection(block.attn)),
            output=self._affine(block.attn.W_O.flatten(end_dim=1), block.attn.b_O),
            ln2=self._norm(block.ln2),
            mlp_in=self._affine(block.mlp.W_in, block.mlp.b_in),
            mlp_out=self._affine(block.mlp.W_out, block.mlp.b_out),
        )

    def _norm(self, norm: Part) -> _Norm:
        return _Norm(gain=self._vector(norm.w), bias=self._vector(norm.b))

    def _affine(
        self, weight: Float[Tensor, "inner out"], bias: Float[Tensor, "out"] | None
    ) -> _Affine:
        kept = self._weights.keep(weight.mT)
        return _Affine(weight=kept, bias=None if bias is None else self._vector(bias))

    def _vector(self, values: Float[Tensor, "size"]) -> int:
        self._vectors.append(values.detach().to(torch.float32, copy=True))
        return self._vectors[-1].data_ptr()

    def __call__(
        self, embed: Float[Tensor, "rows d_model"], cache: KeyValueCache
    ) -> Float[Tensor, "rows d_vocab"]:
        """The logits after tokens of these embeddings, which stand at the cache's positions.

        Their keys and values are stored.
        """
        config, rows = self._config, len(embed)
        for block, keys, values in zip(
            self._model.blocks[: config.n_layers], cache.keys, cache.values, strict=True
        ):
            block.keys, block.values = keys.data_ptr(), values.data_ptr()
        residual = embed.to(torch.float32, copy=True)
        logits = residual.new_empty(rows, config.d_vocab)
        room = (
            residual.new_empty(rows, config.d_model),
            residual.new_empty(rows, config.d_model),
            residual.new_empty(rows, max(3 * config.d_model, config.d_mlp)),
            residual.new_empty(rows, config.n_heads, config.n_ctx),
        )
        self._library.decoding_step(
            ctypes.byref(self._model),
            residual.data_ptr(),
            cache.positions.data_ptr(),
            logits.data_ptr(),
            rows,
            torch.get_num_threads(),
            *(tensor.data_ptr() for tensor in room),
        )
        return logits.to(embed.dtype)


class _Weights:
    """Room for every matrix of a model, each on a line of the processor's cache."""

    def __init__(self, config: Any, dtype: torch.dtype) -> None:
        numbers = config.n_layers * config.d_model * (4 * config.d_model + 2 * config.d_mlp)
        numbers += config.d_vocab * config.d_model
        matrices = 4 * config.n_layers + 1
        self._dtype = dtype
        self._memory = _large_pages(numbers * dtype.itemsize + matrices * LINE_BYTES)
        self._taken = 0

    def keep(self, weight: Float[Tensor, "out inner"]) -> int:
        """Where this weight's copy lies, contiguous."""
        size = weight.numel() * self._dtype.itemsize
        copy = self._memory[self._taken : self._taken + size].view(self._dtype)
        copy.view(weight.shape).copy_(weight)
        self._taken += -(-size // LINE_BYTES) * LINE_BYTES
        return copy.data_ptr()


def _large_pages(size: int) -> UInt8[Tensor, "size"]:
    """Memory in pages as large as the system will give, of which fewer are to be looked up."""
    if sys.platform != "linux":
        return torch.empty(size, dtype=torch.uint8)
    pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with suppress(OSError):
        pages.madvise(mmap.MADV_HUGEPAGE)
    return torch.frombuffer(pages, dtype=torch.uint8)
