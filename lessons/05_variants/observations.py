"""Observe the functions of the lesson on variants, and compute expected results independently."""

import math
from functools import partial
from types import ModuleType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gpt2_small.checker.claims.observing.observation import Observation
from gpt2_small.checker.claims.observing.probes import draws
from gpt2_small.checker.claims.observing.refusals import ending

BATCH, SEQ, HEADS, D_HEAD, D_MODEL, D_MLP = 2, 7, 3, 8, 12, 10

Sizes = tuple[tuple[int, int], ...]
SIZES: Sizes = ((50, 6), (3, 16), (1, 2))
ODD_SIZES: Sizes = ((9, 7), (4, 3))

EPS = 1e-3


def normal(seed: int, name: str, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return random numbers with a mean other than 0; in float32, unless asked otherwise."""
    drawn = torch.randn(shape, generator=draws(seed, name), dtype=torch.float64)
    return (drawn + 0.4).to(dtype)


# sinusoids


def waves(sizes: Sizes, module: ModuleType, _seed: int) -> Observation:
    return {
        f"{n_ctx} positions of width {d_model}": module.sinusoids(n_ctx, d_model)
        for n_ctx, d_model in sizes
    }


def published_waves(sizes: Sizes, _reference: ModuleType, _seed: int) -> Observation:
    """Compute the published formula, number by number, with Python's own sine and cosine."""

    def entry(position: int, feature: int, d_model: int) -> float:
        angle = position / 10_000 ** (2 * (feature // 2) / d_model)
        return math.cos(angle) if feature % 2 else math.sin(angle)

    return {
        f"{n_ctx} positions of width {d_model}": torch.tensor(
            [[entry(p, f, d_model) for f in range(d_model)] for p in range(n_ctx)]
        )
        for n_ctx, d_model in sizes
    }


def wave_products(module: ModuleType, _seed: int) -> Observation:
    """Return dot products of positions at distance 3."""
    table = module.sinusoids(20, 8)
    return {"dot products of positions 3 apart": (table[:-3] * table[3:]).sum(dim=1)}


def equal_products(_reference: ModuleType, _seed: int) -> Observation:
    product = sum(math.cos(3 / 10_000 ** (2 * pair / 8)) for pair in range(4))
    return {"dot products of positions 3 apart": torch.full((17,), product)}


# rotary


def vectors_of(seed: int, seq: int = SEQ, dtype: torch.dtype = torch.float32) -> Tensor:
    return normal(seed, "vectors", BATCH, seq, HEADS, D_HEAD, dtype=dtype)


def turned(module: ModuleType, seed: int) -> Observation:
    return {
        "the vectors": module.rotary(vectors_of(seed)),
        "the vectors of one position": module.rotary(vectors_of(seed, 1)),
    }


def turned_as_complex_numbers(_reference: ModuleType, seed: int) -> Observation:
    """Rotate each pair as a complex number (RoFormer, equation 12)."""
    vectors = vectors_of(seed)
    first, second = vectors[..., : D_HEAD // 2], vectors[..., D_HEAD // 2 :]
    angles = torch.tensor(
        [[p / 10_000 ** (2 * i / D_HEAD) for i in range(D_HEAD // 2)] for p in range(SEQ)],
        dtype=torch.float64,
    )
    turn = torch.polar(torch.ones_like(angles), angles)[:, None].to(torch.complex64)
    found = torch.complex(first.contiguous(), second.contiguous()) * turn
    return {
        "the vectors": torch.cat([found.real, found.imag], dim=-1),
        "the vectors of one position": vectors_of(seed, 1),
    }


def far_turned(module: ModuleType, seed: int) -> Observation:
    """Compare one vector at 60 positions with one at the first: a function of the distance."""
    query, key = (normal(seed, name, 1, 1, 1, D_HEAD) for name in ("query", "key"))
    turned_query, turned_key = (
        module.rotary(each.expand(1, 60, 1, D_HEAD))[0, :, 0] for each in (query, key)
    )
    scores = turned_query @ turned_key.T
    return {
        "scores of neighbours": scores.diagonal(-1),
        "scores of positions 30 apart": scores.diagonal(-30),
    }


def lengths(module: ModuleType, seed: int) -> Observation:
    return {"the lengths of the vectors": module.rotary(vectors_of(seed)).norm(dim=-1)}


def same_lengths(_reference: ModuleType, seed: int) -> Observation:
    return {"the lengths of the vectors": vectors_of(seed).norm(dim=-1)}


def turned_in_float64(module: ModuleType, seed: int) -> Observation:
    return {"the vectors in float64": module.rotary(vectors_of(seed, dtype=torch.float64))}


def turned_gradient(module: ModuleType, seed: int) -> Observation:
    vectors = vectors_of(seed).requires_grad_()
    (module.rotary(vectors) * normal(seed, "weighting", *vectors.shape)).sum().backward()
    return {"the gradient of the vectors": vectors.grad}


def rotary_refusals(module: ModuleType, seed: int) -> Observation:
    odd = normal(seed, "odd", BATCH, SEQ, HEADS, 5)
    return {"an odd d_head": ending(partial(module.rotary, odd))}


def vectors_kept(module: ModuleType, seed: int) -> Observation:
    vectors = vectors_of(seed)
    module.rotary(vectors)
    same = torch.equal(vectors, vectors_of(seed))
    return {"the vectors afterwards": "as before" if same else "changed"}


# gelu


def points(dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.linspace(-6, 6, 97, dtype=torch.float64).to(dtype)


def activated(module: ModuleType, seed: int) -> Observation:
    return {
        "the values from -6 to 6": module.gelu(points()),
        "the values of a batch": module.gelu(normal(seed, "batch", 2, 3, 5)),
    }


def activated_by_torch(_reference: ModuleType, seed: int) -> Observation:
    return {
        "the values from -6 to 6": F.gelu(points(), approximate="tanh"),
        "the values of a batch": F.gelu(normal(seed, "batch", 2, 3, 5), approximate="tanh"),
    }


def activated_far(module: ModuleType, _seed: int) -> Observation:
    return {"the values of -1,000 and 1,000": module.gelu(torch.tensor([-1000.0, 1000.0]))}


def activated_far_by_torch(_reference: ModuleType, _seed: int) -> Observation:
    return {"the values of -1,000 and 1,000": torch.tensor([0.0, 1000.0])}


def slopes(module: ModuleType, _seed: int) -> Observation:
    pre = points().requires_grad_()
    module.gelu(pre).sum().backward()
    return {"the slopes from -6 to 6": pre.grad}


def slopes_by_torch(_reference: ModuleType, _seed: int) -> Observation:
    pre = points().requires_grad_()
    F.gelu(pre, approximate="tanh").sum().backward()
    return {"the slopes from -6 to 6": pre.grad}


def activated_in_float64(module: ModuleType, _seed: int) -> Observation:
    return {"the values in float64": module.gelu(points(torch.float64))}


def points_kept(module: ModuleType, _seed: int) -> Observation:
    pre = points()
    module.gelu(pre)
    same = torch.equal(pre, points())
    return {"the input afterwards": "as before" if same else "changed"}


# rms_norm


def residual_of(seed: int, scale: float = 1.0, dtype: torch.dtype = torch.float32) -> Tensor:
    return scale * normal(seed, "residual", BATCH, SEQ, D_MODEL, dtype=dtype)


def gain_of(seed: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return normal(seed, "gain", D_MODEL, dtype=dtype)


def normalised(module: ModuleType, seed: int) -> Observation:
    gain = gain_of(seed)
    return {
        "the output": module.rms_norm(residual_of(seed), gain, EPS),
        "the output of small vectors": module.rms_norm(residual_of(seed, 0.03), gain, EPS),
        "the output of zeros": module.rms_norm(residual_of(seed, 0.0), gain, EPS),
    }


def normalised_by_torch(_reference: ModuleType, seed: int) -> Observation:
    return {
        "the output": F.rms_norm(residual_of(seed), (D_MODEL,), gain_of(seed), EPS),
        "the output of small vectors": F.rms_norm(
            residual_of(seed, 0.03), (D_MODEL,), gain_of(seed), EPS
        ),
        "the output of zeros": torch.zeros(BATCH, SEQ, D_MODEL),
    }


def norm_gradients(module: ModuleType, seed: int) -> Observation:
    residual, gain = residual_of(seed).requires_grad_(), gain_of(seed).requires_grad_()
    weighting = normal(seed, "weighting", BATCH, SEQ, D_MODEL)
    (module.rms_norm(residual, gain, EPS) * weighting).sum().backward()
    zeros = torch.zeros_like
    return {
        "the gradient of the input": zeros(residual) if residual.grad is None else residual.grad,
        "the gradient of the gain": zeros(gain) if gain.grad is None else gain.grad,
    }


def normalised_in_float64(module: ModuleType, seed: int) -> Observation:
    given = residual_of(seed, dtype=torch.float64), gain_of(seed, torch.float64)
    return {"the output in float64": module.rms_norm(*given, EPS)}


def residual_kept(module: ModuleType, seed: int) -> Observation:
    residual = residual_of(seed)
    module.rms_norm(residual, gain_of(seed), EPS)
    same = torch.equal(residual, residual_of(seed))
    return {"the input afterwards": "as before" if same else "changed"}


# post_norm_block


def layer_of_torch(seed: int) -> nn.TransformerEncoderLayer:
    """Return torch's layer with its norms last, and random weights in all of its parts."""
    layer = nn.TransformerEncoderLayer(D_MODEL, HEADS, D_MLP, dropout=0.0, batch_first=True)
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            drawn = torch.randn(parameter.shape, generator=draws(seed, name), dtype=torch.float64)
            parameter.copy_(drawn / parameter.shape[-1] ** 0.5 + (parameter.dim() == 1) * 0.5)
    return layer


def parts_of(layer: nn.TransformerEncoderLayer) -> tuple[nn.Module | object, ...]:
    """Return the layer's attention, first norm, MLP and second norm, as functions of a stream."""

    def attn(residual: Tensor) -> Tensor:
        output: Tensor = layer.self_attn(residual, residual, residual, need_weights=False)[0]
        return output

    def mlp(residual: Tensor) -> Tensor:
        output: Tensor = layer.linear2(layer.linear1(residual).relu())
        return output

    return attn, layer.norm1, mlp, layer.norm2


def blocked(module: ModuleType, seed: int) -> Observation:
    parts = parts_of(layer_of_torch(seed))
    return {"the output": module.post_norm_block(residual_of(seed), *parts).detach()}


def blocked_by_torch(_reference: ModuleType, seed: int) -> Observation:
    return {"the output": layer_of_torch(seed)(residual_of(seed)).detach()}


def blocked_simply(module: ModuleType, _seed: int) -> Observation:
    """Run the block with parts such as 2 x + 1, whose order determines the result."""
    parts = [
        lambda stream, factor=factor: factor * stream + factor for factor in (2.0, 3.0, 5.0, 7.0)
    ]
    return {"the output of simple parts": module.post_norm_block(torch.ones(1, 1, 1), *parts)}


def block_gradients(module: ModuleType, seed: int) -> Observation:
    layer, residual = layer_of_torch(seed), residual_of(seed).requires_grad_()
    module.post_norm_block(residual, *parts_of(layer)).square().sum().backward()
    seen = {"the gradient of the input": residual.grad}
    for name, parameter in layer.named_parameters():
        missing = parameter.grad is None
        seen[f"the gradient of {name}"] = torch.zeros(1) if missing else parameter.grad
    return seen
