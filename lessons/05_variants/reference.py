"""Variants of transformers: positions, activations and norms, each as one function."""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

Layer = Callable[[Float[Tensor, "batch seq d_model"]], Float[Tensor, "batch seq d_model"]]


def sinusoids(n_ctx: int, d_model: int) -> Float[Tensor, "n_ctx d_model"]:
    """Sines and cosines for the positions, not learned (Vaswani et al. 2017, section 3.5).

    Feature 2i of position p is sin(p * rate), feature 2i + 1 is cos(p * rate), with
    rate = 10,000 ** (-2i / d_model): the features come in turn, sine first. In float32.
    """
    rates = 10_000.0 ** (-torch.arange(0, d_model, 2) / d_model)
    angles = torch.arange(n_ctx)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(start_dim=1)[:, :d_model]


def rotary(
    vectors: Float[Tensor, "batch seq head d_head"],
) -> Float[Tensor, "batch seq head d_head"]:
    """Rotate queries or keys by their position (Su et al. 2021, "RoFormer", section 3.2).

    Feature i and feature i + d_head / 2 are a pair, as in GPT-NeoX and Llama. The pair of position
    p is rotated by the angle p * rate, with rate = 10,000 ** (-2i / d_head): the new first one is
    first * cos - second * sin, the new second one first * sin + second * cos.

    Raises ValueError for an odd d_head.
    """
    seq, d_head = vectors.shape[1], vectors.shape[-1]
    if d_head % 2:
        raise ValueError(f"d_head is {d_head}; features are rotated in pairs, so give an even one")
    rates = 10_000.0 ** (-torch.arange(0, d_head, 2) / d_head)
    angles = torch.arange(seq)[:, None, None] * rates
    sin, cos = angles.sin().to(vectors.dtype), angles.cos().to(vectors.dtype)
    first, second = vectors.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)


def gelu(pre: Float[Tensor, "*axes"]) -> Float[Tensor, "*axes"]:
    """GPT-2's activation by its formula, 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))).

    (Hendrycks and Gimpel 2016, "Gaussian Error Linear Units", section 2.)
    """
    inner = math.sqrt(2 / math.pi) * (pre + 0.044715 * pre**3)
    return 0.5 * pre * (1 + torch.tanh(inner))


def rms_norm(
    residual: Float[Tensor, "batch seq d_model"], gain: Float[Tensor, "d_model"], eps: float
) -> Float[Tensor, "batch seq d_model"]:
    """Divide every position by the root of its mean square, then apply a gain.

    eps is added to the mean square before the root. Nothing is centred, and there is no bias (Zhang
    and Sennrich 2019, "Root Mean Square Layer Normalization", section 3).
    """
    mean_square = residual.square().mean(dim=-1, keepdim=True)
    return residual / (mean_square + eps).sqrt() * gain


def post_norm_block(
    residual: Float[Tensor, "batch seq d_model"], attn: Layer, ln1: Layer, mlp: Layer, ln2: Layer
) -> Float[Tensor, "batch seq d_model"]:
    """The block of the first transformer: each part reads the stream, and the sum is normalised.

    attn, ln1, mlp and ln2 are functions of a stream (Vaswani et al. 2017, section 3.1). GPT-2 moved
    the norms before the parts (GPT-2, section 2.3).
    """
    resid_mid = ln1(residual + attn(residual))
    return ln2(resid_mid + mlp(resid_mid))
