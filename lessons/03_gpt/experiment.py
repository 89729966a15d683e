"""Train models from one head to GPT-2 on tiny Shakespeare, and measure each stage."""

from collections.abc import Callable
from types import ModuleType

import torch
from torch import Tensor, nn

import gpt2_small
from gpt2_small import binding
from gpt2_small.training.recipes.training_presets import training_preset

FOLDER = binding.reference_path().parent / "lessons"
small_models = gpt2_small.load(FOLDER / "small_models.py")

SEEDS = (0, 1, 2)
PRESET = training_preset("shakespeare-cpu")
STEPS, ALL_STEPS = 500, PRESET.recipe.max_steps
# The better of two rates on another seed: without norms, training starts slowly.
RATE, RATE_WITHOUT_NORMS = PRESET.recipe.learning_rate, 1.5e-2

Weights = dict[str, Tensor]
Stage = Callable[[ModuleType, Tensor, Weights], Tensor]


def one_head(lesson: ModuleType, residual: Tensor, weights: Weights) -> Tensor:
    attn = lesson.under(weights, "blocks.0.attn.")
    return lesson.head(residual, attn["W_Q"][0], attn["W_K"][0], attn["W_V"][0])


def four_heads(lesson: ModuleType, residual: Tensor, weights: Weights) -> Tensor:
    return lesson.multi_head(residual, lesson.under(weights, "blocks.0.attn."))


def with_mlp(lesson: ModuleType, residual: Tensor, weights: Weights) -> Tensor:
    attn_out = four_heads(lesson, residual, weights)
    return lesson.mlp(attn_out, lesson.under(weights, "blocks.0.mlp."))


def with_sums(lesson: ModuleType, residual: Tensor, weights: Weights) -> Tensor:
    resid_mid = residual + four_heads(lesson, residual, weights)
    return resid_mid + lesson.mlp(resid_mid, lesson.under(weights, "blocks.0.mlp."))


def one_block(lesson: ModuleType, residual: Tensor, weights: Weights) -> Tensor:
    resid_post = lesson.block(residual, lesson.under(weights, "blocks.0."))
    return lesson.layer_norm(resid_post, lesson.under(weights, "ln_final."))


STAGES: dict[str, Stage] = {
    "one head": one_head,
    "four heads": four_heads,
    "four heads, MLP": with_mlp,
    "... with sums": with_sums,
    "... and norms": one_block,
}
ONE_BLOCK, FOUR_BLOCKS = "... and norms", "four blocks"
NAMES = (*STAGES, FOUR_BLOCKS)
# Measured in addition: a stage with all steps of the preset.
LONGER = {f"one block, {ALL_STEPS:,} steps": ONE_BLOCK}


def rate_of(name: str) -> float:
    """Return the highest learning rate of a stage."""
    return RATE if name in (ONE_BLOCK, FOUR_BLOCKS) else RATE_WITHOUT_NORMS


class StageModel(nn.Module):
    """A stage between the embeddings and the transposed W_E, with GPT-2's initialisation."""

    def __init__(self, lesson: ModuleType, stage: Stage, d_vocab: int) -> None:
        super().__init__()
        self.lesson, self.stage = lesson, stage
        self.weights = gpt2_of(d_vocab, n_layers=1, n_heads=1 if stage is one_head else 4)

    def forward(self, tokens: Tensor) -> Tensor:
        weights = dict(self.weights.named_parameters())
        W_E, W_pos = weights["embed.W_E"], weights["pos_embed.W_pos"]
        residual = W_E[tokens] + W_pos[: tokens.shape[1]]
        return self.stage(self.lesson, residual, weights) @ W_E.T


def gpt2_of(d_vocab: int, **changes: int) -> nn.Module:
    """Return the bound Transformer in the preset's shape or a changed one, with new weights."""
    solution = binding.bound()
    model: nn.Module = solution.Transformer(
        solution.TransformerConfig(d_vocab=d_vocab, **{**PRESET.model, **changes})
    )
    with torch.no_grad():
        model.embed.W_E.mul_(PRESET.recipe.embedding_scale)  # type: ignore[operator, union-attr]
    return model


def train_stage(
    lesson: ModuleType, name: str, seed: int, *, steps: int = STEPS, is_shown: bool = False
) -> tuple[list[float], float, nn.Module]:
    """Train a stage; return every step's loss, the held-out loss, and the model.

    The last stage is trained as the bound Transformer, of which `lesson.gpt` is the function.
    """
    text = small_models.tiny_shakespeare()
    torch.manual_seed(seed)
    d_vocab = len(text.letters)
    model = StageModel(lesson, STAGES[name], d_vocab) if name in STAGES else gpt2_of(d_vocab)
    losses = small_models.train(
        model, text.train, steps=steps, seed=seed, peak=rate_of(name), name=name * is_shown
    )
    return losses, small_models.held_out_loss(model, text.held_out), model


def measure_one(name: str, seed: int) -> float:
    """Return the held-out loss of one of the measured names, in nats per character."""
    lesson = gpt2_small.load(FOLDER / "03_gpt" / "reference.py")
    if name in LONGER:
        return train_stage(lesson, LONGER[name], seed, steps=ALL_STEPS)[1]
    return train_stage(lesson, name, seed)[1]


def measure(seed: int) -> dict[str, float]:
    """Return the loss of every stage, and of one block with all steps."""
    return {name: measure_one(name, seed) for name in (*NAMES, *LONGER)}
