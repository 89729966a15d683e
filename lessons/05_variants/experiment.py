"""Train variants of a small GPT-2 on tiny Shakespeare, and measure each."""

from types import ModuleType
from typing import Any

import torch
from torch import nn

import gpt2_small
from gpt2_small import binding
from gpt2_small.checker.claims.judging.runner import reference
from gpt2_small.checker.variants import variant_set

FOLDER = binding.reference_path().parent / "lessons"
small_models = gpt2_small.load(FOLDER / "small_models.py")

SEEDS = (0, 1, 2)
STEPS = 300
HELD_OUT = 30_000  # characters of the held-out text
SHAPE = dict(d_model=64, n_layers=2, n_heads=4, n_ctx=32)

# A model's name, and the edits of the reference that make it.
VARIANTS: dict[str, tuple[str, ...]] = {
    "GPT-2": (),
    "sinusoids": ("positional-embedding-sinusoidal",),
    "sinusoids, √d": ("positional-embedding-sinusoidal", "embedding-times-root"),
    "learned, √d": ("embedding-times-root",),
    "no positions": ("no-positions",),
    "rotary": ("no-positions", "rotary"),
    "ReLU": ("mlp-relu",),
    "norms after": ("block-post-norm",),
    "no residual": ("block-residuals-missing",),
    "RMS norm": ("rms-norm",),
}


def module_of(name: str) -> ModuleType:
    """Return the reference with a variant's edits; for GPT-2 the bound solution."""
    edits = VARIANTS[name]
    return reference(variant_set(edits)) if edits else binding.bound()


def model_of(name: str, seed: int, d_vocab: int, **changes: int) -> nn.Module:
    """Return a variant with new weights of a seed."""
    module = module_of(name)
    torch.manual_seed(seed)
    model: nn.Module = module.Transformer(
        module.TransformerConfig(d_vocab=d_vocab, **{**SHAPE, **changes})
    )
    return model


def train(name: str, seed: int, *, is_shown: bool = False) -> tuple[list[float], float, nn.Module]:
    """Train a variant; return every step's loss, the held-out loss, and the model."""
    text = small_models.tiny_shakespeare()
    model = model_of(name, seed, len(text.letters))
    losses = small_models.train(
        model,
        text.train,
        steps=STEPS,
        seed=seed,
        n_ctx=SHAPE["n_ctx"],
        solution=module_of(name),
        name=name * is_shown,
    )
    held_out = text.held_out[:HELD_OUT]
    return losses, small_models.held_out_loss(model, held_out, SHAPE["n_ctx"]), model


def measure_one(name: str, seed: int) -> float:
    """Return a variant's held-out loss, in nats per character."""
    return train(name, seed)[1]


def measure(seed: int) -> dict[str, float]:
    """Return every variant's held-out loss, in nats per character."""
    return {name: measure_one(name, seed) for name in VARIANTS}


def differences(values: dict[str, list[float]]) -> dict[str, list[float]]:
    """Return the measured differences of each variant's loss from GPT-2's with the same seed."""
    return {
        name: [mine - base for mine, base in zip(found, values["GPT-2"], strict=True)]
        for name, found in values.items()
        if name != "GPT-2"
    }


def frequency_loss() -> float:
    """Return the held-out loss of a model that knows only the characters' frequencies."""
    text = small_models.tiny_shakespeare()
    counts = torch.bincount(text.train, minlength=len(text.letters)).double()
    losses = -(counts / counts.sum()).log()[text.held_out[1:HELD_OUT]]
    return losses.mean().item()


def gradient_sizes(name: str, seed: int) -> list[float]:
    """Return the norm of the gradient of W_out in each of eight layers, before the first step."""
    text = small_models.tiny_shakespeare()
    model = model_of(name, seed, len(text.letters), n_layers=8)
    batch = next(small_models.windows(text.train, 1, seed, 16, SHAPE["n_ctx"]))
    binding.bound().next_token_loss(model(batch[:, :-1]), batch).backward()
    blocks: Any = model.blocks
    return [block.mlp.W_out.grad.norm().item() for block in blocks]
