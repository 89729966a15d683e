"""Draw small configurations, random parameters and random inputs for a part.

All axes have different sizes, so swapped axes raise or differ; every parameter is random, so an
unused one changes the output.
"""

import math
import zlib
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from gpt2_small.checker.claims.judging.failure import Failure
from gpt2_small.checker.claims.observing.observation import TAP, Observation
from gpt2_small.checker.claims.observing.renamings import renamings

BATCH, SEQ = 2, 11
# Observed in place of a gradient that is None.
NO_GRADIENT = "no gradient at all"
# The smallest batch whose tokens are all those of the vocabulary.
BATCH_OF_ALL_TOKENS = 3
SIZES: dict[str, Any] = {
    "d_model": 24,
    "n_layers": 2,
    "n_heads": 3,
    "d_head": 8,
    "d_mlp": 40,
    "n_ctx": 12,
    "d_vocab": 29,
}
AXES = {
    BATCH: "batch",
    SEQ: "seq",
    24: "d_model",
    3: "head",
    8: "d_head",
    40: "d_mlp",
    12: "n_ctx",
    29: "d_vocab",
}


def config(module: ModuleType, **changes: Any) -> Any:
    """The small configuration with changes."""
    return module.TransformerConfig(**SIZES | changes)


def draws(seed: int, name: str) -> torch.Generator:
    """A generator determined by the seed and a purpose's name."""
    return torch.Generator().manual_seed(zlib.crc32(f"{seed} {name}".encode()))


def residual(
    seed: int, name: str = "residual", *, batch: int = BATCH, seq: int = SEQ, scale: float = 1.0
) -> Tensor:
    """A residual stream [batch seq d_model] with positions of different mean and scale."""
    generator = draws(seed, name)
    shape = (batch, seq, SIZES["d_model"])
    noise = torch.randn(shape, generator=generator, dtype=torch.float64)
    mean = torch.randn((batch, seq, 1), generator=generator, dtype=torch.float64)
    size = torch.rand((batch, seq, 1), generator=generator, dtype=torch.float64) + 0.5
    return (scale * (size * noise + 0.5 * mean)).float()


def tokens(
    seed: int,
    name: str = "tokens",
    *,
    batch: int = BATCH,
    seq: int = SEQ,
    d_vocab: int = SIZES["d_vocab"],
) -> Tensor:
    """Tokens [batch seq], with every token of the vocabulary after the first position if they fit.

    If they do not, with the vocabulary's first and last.
    """
    generator = draws(seed, name)
    drawn = torch.randint(0, d_vocab, (batch, seq), generator=generator)
    if batch * (seq - 1) >= d_vocab:
        after_first = drawn[:, 1:].flatten()
        places = torch.randperm(len(after_first), generator=generator)[:d_vocab]
        after_first[places] = torch.arange(d_vocab)
        drawn[:, 1:] = after_first.view(batch, seq - 1)
    elif seq >= 5:
        drawn[0, 2], drawn[-1, 4], drawn[0, 3] = 0, 0, d_vocab - 1
    return drawn


def weighting(seed: int, output: Tensor, size: float) -> Tensor:
    """Random weights of this size, with an output's shape and dtype."""
    noise = torch.randn(output.shape, generator=draws(seed, "weighting"), dtype=torch.float64)
    return (size * noise).to(output.dtype)


def load_values(model: nn.Module, values: dict[str, Tensor]) -> None:
    """Set a module's parameters in place.

    A parameter of another name gets the value of the one that it most likely stands for. One of
    another shape gets random values, so that a mistake in its initialisation does not change the
    output.
    """
    expected = {name: tuple(value.shape) for name, value in values.items()}
    own = own_parameters(model, expected)
    meant = renamings(expected, {name: tuple(p.shape) for name, p in own.items()})
    with torch.no_grad():
        for name, parameter in own.items():
            known = meant.get(name, name)
            if known not in values:
                continue
            shape, value = tuple(parameter.shape), values[known]
            parameter.copy_(value if value.shape == shape else random_parameter(known, shape, 0))


def random_parameter(name: str, shape: tuple[int, ...], seed: int) -> Tensor:
    """Random values: weights for activations near 1, gains other than 1, biases other than 0."""
    noise = torch.randn(shape, generator=draws(seed, f"parameter {name}"), dtype=torch.float64)
    last = name.split(".")[-1]
    if last == "w":
        return 0.8 + 0.4 * noise
    if last in ("W_E", "W_pos"):
        return 0.7 * noise
    if last in ("W_Q", "W_K"):
        return 0.35 * noise
    if last.startswith("W"):
        fan_in = math.prod(shape[:-1] if last == "W_O" else shape[-2:-1])
        return noise / math.sqrt(fan_in)
    return 0.5 * noise


def own_parameters(model: nn.Module, known: Container[str] = ()) -> dict[str, nn.Parameter]:
    """A module's parameters, each once, under its known name if it has several."""
    names: dict[int, list[str]] = {}
    parameters: dict[int, nn.Parameter] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
        parameters[id(parameter)] = parameter
    return {
        next((name for name in called if name in known), called[0]): parameters[identity]
        for identity, called in names.items()
    }


def shapes(model: nn.Module, known: Container[str] = ()) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a module's parameters, each once."""
    return {name: tuple(p.shape) for name, p in own_parameters(model, known).items()}


def tensor(value: Any, what: str) -> Tensor:
    """Return a value that is a tensor. Raises Failure for others, with their type."""
    if isinstance(value, Tensor):
        return value
    if value is None:
        raise Failure(f"{what} is None; is a return missing?")
    hint = "; return the tensor itself" if isinstance(value, (list, tuple, dict)) else ""
    if isinstance(value, (int, float)):
        hint = "; .item() and float() make numbers of tensors: return the tensor itself"
    raise Failure(f"{what} is a {type(value).__name__} where a tensor is needed{hint}")


def text(value: Any) -> str:
    """Describe a value in a few words, for text entries."""
    if isinstance(value, Tensor):
        return f"a tensor of {str(value.dtype).removeprefix('torch.')} {list(value.shape)}"
    return "None" if value is None else f"{type(value).__name__} {value!r}"


def with_axes(shape: tuple[int, ...] | torch.Size) -> str:
    """A shape with its axes' names if all sizes are the probes'.

    A 3 is the number of heads only beside a batch or a d_head.
    """
    names = [AXES.get(size) for size in shape]
    written = "[" + " ".join(map(str, shape)) + "]"
    are_heads = "head" not in names or "batch" in names or "d_head" in names
    is_known = bool(shape) and all(names) and are_heads
    return f"{written} ({' '.join(map(str, names))})" if is_known else written


@contextmanager
def listening(model: nn.Module, names: Container[str] | None = None) -> Iterator[dict[str, Tensor]]:
    """In this context, collect the activations of a module's taps.

    names: those of the taps to hear; all without them.
    """
    heard: dict[str, Tensor] = {}
    handles = [
        child.register_forward_hook(_keep(heard, name))
        for name, child in model.named_modules()
        if name.split(".")[-1].startswith("hook_") and (names is None or name in names)
    ]
    try:
        yield heard
    finally:
        for handle in handles:
            handle.remove()


def _keep(heard: dict[str, Tensor], name: str) -> Callable[..., None]:
    def hook(_tap: nn.Module, _inputs: Any, activation: Any) -> None:
        if not isinstance(activation, Tensor):
            return
        if name in heard and not _are_equal(heard[name], activation):
            raise Failure(f"{name} taps two different activations in one forward pass")
        heard[name] = activation.detach().clone()

    return hook


def _are_equal(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors have the same numbers; NaN equals NaN."""
    return a.shape == b.shape and bool(((a == b) | (a.isnan() & b.isnan())).all())


# Some masks add -10,000 to a score; exp of less than this is 0.
_HIDDEN = -5000.0


def tap_entries(heard: dict[str, Tensor]) -> Observation:
    """Entries for tap activations; scores that a mask hides are 0, whatever it fills in."""
    entries = {}
    for name, value in heard.items():
        if name.endswith("hook_attn_scores") and value.dim() == 4:
            value = value.masked_fill(value < _HIDDEN, 0.0)
        entries[TAP + name] = value
    return entries
