"""Run a decoding step in C: pack the weights and call `kernels.c`."""

import ctypes
import mmap
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from gpt2_small.kernels.native import library as native
from gpt2_small.kernels.native.library import Pointer
from gpt2_small.model_protocol import Config

MOST_ROWS = 8
LINE_BYTES = 64
_SIZES = ("n_layers", "n_heads", "d_head", "d_mlp", "n_ctx", "d_vocab")

# Gain and bias of a norm, or weight [in out] and bias of an affine map.
WeightAndBias = tuple[Tensor, Tensor | None]


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
    ]


class _Cache(ctypes.Structure):
    _fields_ = [("keys", Pointer), ("values", Pointer)]


class _Model(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_long) for name in _SIZES),
        ("eps", ctypes.c_float),
        ("blocks", ctypes.POINTER(_Block)),
        ("ln_final", _Norm),
        ("unembedding", _Affine),
    ]


class NativeStep:
    """Computes the logits after one new token of up to MOST_ROWS rows, in float32.

    `library.unavailable` gives the reason where it cannot run. The weights are copied once and then
    read-only, so that any number of caches and threads can share them.

    config: a TransformerConfig.
    blocks: weights and biases of every block, by the names of `_Block`'s fields.
    dtype: of the weights and the cache.
    """

    @torch.no_grad()
    def __init__(
        self,
        config: Config,
        blocks: Iterable[Mapping[str, WeightAndBias]],
        ln_final: WeightAndBias,
        unembedding: WeightAndBias,
        dtype: torch.dtype,
    ) -> None:
        self._library, self._config = native.library_for(dtype), config
        self._weights = _Weights(config, dtype)
        self._vectors: list[Tensor] = []
        self._model = _Model(
            **{name: getattr(config, name) for name in _SIZES},
            eps=config.layer_norm_eps,
            blocks=(_Block * config.n_layers)(*map(self._block, blocks)),
            ln_final=self._norm(*ln_final),
            unembedding=self._affine(*unembedding),
        )

    def _block(self, weights: Mapping[str, WeightAndBias]) -> _Block:
        return _Block(
            **{
                name: (self._norm if name.startswith("ln") else self._affine)(*pair)
                for name, pair in weights.items()
            }
        )

    def _norm(self, gain: Tensor, bias: Tensor | None) -> _Norm:
        return _Norm(gain=self._vector(gain), bias=self._vector(bias))

    def _affine(self, weight: Float[Tensor, "inner out"], bias: Tensor | None) -> _Affine:
        return _Affine(weight=self._weights.store(weight.mT), bias=self._vector(bias))

    def _vector(self, values: Float[Tensor, "size"] | None) -> int | None:
        if values is None:
            return None
        self._vectors.append(values.detach().to(torch.float32, copy=True))
        return self._vectors[-1].data_ptr()

    def __call__(
        self,
        embed: Float[Tensor, "rows d_model"],
        positions: Int[Tensor, "rows"],
        keys: Sequence[Float[Tensor, "rows head n_ctx d_head"]],
        values: Sequence[Float[Tensor, "rows head n_ctx d_head"]],
    ) -> Float[Tensor, "rows d_vocab"]:
        """The logits after tokens with these embeddings, at these positions of the cache.

        Stores the tokens' keys and values in the cache, which has one tensor for each layer.
        """
        config, rows = self._config, len(embed)
        caches = (_Cache * config.n_layers)(
            *(_Cache(k.data_ptr(), v.data_ptr()) for k, v in zip(keys, values, strict=True))
        )
        residual = embed.to(torch.float32, copy=True)
        logits = residual.new_empty(rows, config.d_vocab)
        buffers = (
            residual.new_empty(rows, config.d_model),
            residual.new_empty(rows, config.d_model),
            residual.new_empty(rows, max(3 * config.d_model, config.d_mlp)),
            residual.new_empty(rows, config.n_heads, config.n_ctx),
        )
        self._library.decoding_step(
            ctypes.byref(self._model),
            caches,
            residual.data_ptr(),
            positions.data_ptr(),
            logits.data_ptr(),
            rows,
            torch.get_num_threads(),
            *(tensor.data_ptr() for tensor in buffers),
        )
        return logits.to(embed.dtype)


class _Weights:
    """Memory for every matrix of a model, each aligned to a cache line."""

    def __init__(self, config: Config, dtype: torch.dtype) -> None:
        numbers = config.n_layers * config.d_model * (4 * config.d_model + 2 * config.d_mlp)
        numbers += config.d_vocab * config.d_model
        matrices = 4 * config.n_layers + 1
        self._dtype = dtype
        self._memory = _large_pages(numbers * dtype.itemsize + matrices * LINE_BYTES)
        self._taken = 0

    def store(self, weight: Float[Tensor, "out inner"]) -> int:
        """Copy a weight contiguously and return the copy's address."""
        size = weight.numel() * self._dtype.itemsize
        copy = self._memory[self._taken : self._taken + size].view(self._dtype)
        copy.view(weight.shape).copy_(weight)
        self._taken += -(-size // LINE_BYTES) * LINE_BYTES
        return copy.data_ptr()


def _large_pages(size: int) -> UInt8[Tensor, "size"]:
    """Memory in huge pages where the system has them, for fewer page-table look-ups."""
    if sys.platform != "linux":
        return torch.empty(size, dtype=torch.uint8)
    pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with suppress(OSError):
        pages.madvise(mmap.MADV_HUGEPAGE)
    return torch.frombuffer(pages, dtype=torch.uint8)
