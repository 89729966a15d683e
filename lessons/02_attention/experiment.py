"""Train a small GPT-2 on tiny Shakespeare with and without the scale of attention's scores."""

from types import ModuleType

import torch

import gpt2_small
from gpt2_small import binding
from gpt2_small.checker.claims.judging.runner import reference
from gpt2_small.checker.mistakes.costs import measured_costs
from gpt2_small.checker.variants import variant_set

_FOLDER = binding.reference_path().parent / "lessons"
small_models = gpt2_small.load(_FOLDER / "small_models.py")

SEEDS = (0, 1, 2)
STEPS = 400
N_CTX = 64
HELD_OUT = 30_000  # characters of the held-out text
WITHOUT_SCALE = "attention-scale-missing"
NAMES = ("with the scale", "without the scale")


def module_of(name: str) -> ModuleType:
    """Return the bound solution, or the reference without the scale."""
    return binding.bound() if name == NAMES[0] else reference(variant_set((WITHOUT_SCALE,)))


def measure_one(name: str, seed: int) -> float:
    """Return the held-out loss of six layers of width 64, in nats per character."""
    text, module = small_models.tiny_shakespeare(), module_of(name)
    torch.manual_seed(seed)
    config = module.TransformerConfig(
        d_model=64, n_layers=6, n_heads=4, n_ctx=N_CTX, d_vocab=len(text.letters)
    )
    model = module.Transformer(config)
    small_models.train(
        model, text.train, steps=STEPS, seed=seed, n_ctx=N_CTX, peak=3e-3, solution=module
    )
    loss: float = small_models.held_out_loss(model, text.held_out[:HELD_OUT], N_CTX)
    return loss


def measure(seed: int) -> dict[str, float]:
    """Return the loss with the scale, and without it."""
    return {name: measure_one(name, seed) for name in NAMES}


def on_the_stories() -> tuple[list[float], float]:
    """Return percents above the stories' floor: of correct models, by seed, and without scale."""
    costs = measured_costs()
    found = costs.mistakes[WITHOUT_SCALE].above_floor
    assert found is not None
    return list(costs.right["tied"]), found
