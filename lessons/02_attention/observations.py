"""Observe the functions of the attention lesson, and compute expected results independently."""

from types import ModuleType

import torch
import torch.nn.functional as F
from torch import Tensor

from gpt2_small.checker.claims import Observe
from gpt2_small.checker.claims.observing.observation import Observation
from gpt2_small.checker.claims.observing.probes import draws

BATCH, SEQ, D_HEAD, D_MODEL = 2, 7, 4, 5

AVERAGES = ("average_by_loop", "average_by_matrix", "average_by_softmax")


def values_of(seed: int, seq: int = SEQ, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return random values in float32, the dtype of tensors made without dtype=."""
    generator = draws(seed, "values")
    return (torch.randn(BATCH, seq, D_MODEL, generator=generator, dtype=torch.float64) + 1).to(
        dtype
    )


def averaged(part: str) -> Observe:
    def observe(module: ModuleType, seed: int) -> Observation:
        average = getattr(module, part)
        return {
            "the means": average(values_of(seed)),
            "the means of one position": average(values_of(seed, 1)),
        }

    return observe


def cumulative(_reference: ModuleType, seed: int) -> Observation:
    """Return torch's cumulative sum divided by the number of terms."""
    return {
        "the means": values_of(seed).cumsum(dim=1) / torch.arange(1, SEQ + 1)[:, None],
        "the means of one position": values_of(seed, 1),
    }


def in_float64(part: str) -> Observe:
    def observe(module: ModuleType, seed: int) -> Observation:
        return {"the means in float64": getattr(module, part)(values_of(seed, dtype=torch.float64))}

    return observe


def input_kept(part: str) -> Observe:
    def observe(module: ModuleType, seed: int) -> Observation:
        values = values_of(seed)
        getattr(module, part)(values)
        same = torch.equal(values, values_of(seed))
        return {"the values afterwards": "as before" if same else "changed"}

    return observe


def heads(
    seed: int, scale: float = 1.0, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor, Tensor]:
    generator = draws(seed, "head")
    drawn = (
        torch.randn(BATCH, SEQ, D_HEAD, generator=generator, dtype=torch.float64) for _ in range(2)
    )
    query, key = ((scale * one).to(dtype) for one in drawn)
    return query, key, values_of(seed, dtype=dtype)


def attended(module: ModuleType, seed: int) -> Observation:
    return {"the output": module.attend(*heads(seed))}


def attended_by_torch(_reference: ModuleType, seed: int) -> Observation:
    return {"the output": F.scaled_dot_product_attention(*heads(seed), is_causal=True)}


def attended_equally(module: ModuleType, seed: int) -> Observation:
    query, key, values = heads(seed, scale=0.0)
    return {"the output for queries of zeros": module.attend(query, key, values)}


def attended_in_float64(module: ModuleType, seed: int) -> Observation:
    return {"the output in float64": module.attend(*heads(seed, dtype=torch.float64))}


def attended_sharply(module: ModuleType, seed: int) -> Observation:
    return {"the output for scores in the hundreds": module.attend(*heads(seed, scale=10.0))}


def without_future(module: ModuleType, seed: int) -> Observation:
    """Return the first positions' outputs with other later positions."""
    cut = [part[:, :3] for part in heads(seed)]
    return {
        "the first three positions of seven": module.attend(*heads(seed))[:, :3],
        "three positions alone": module.attend(*cut),
    }


def gradient(module: ModuleType, seed: int) -> Observation:
    parts = [part.requires_grad_() for part in heads(seed)]
    module.attend(*parts).square().sum().backward()
    names = ("the queries' gradient", "the keys' gradient", "the values' gradient")
    return {name: part.grad for name, part in zip(names, parts, strict=True)}
