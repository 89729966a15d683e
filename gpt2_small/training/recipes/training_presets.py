"""Define training presets: a model's shape, its data and its recipe."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from gpt2_small.errors import UserError, did_you_mean
from gpt2_small.model.presets import PRESETS as SHAPES
from gpt2_small.training.recipes.recipe import Recipe
from gpt2_small.training.recipes.settings import Settings


def _shape(name: str) -> dict[str, Any]:
    """A model preset without its vocabulary size, which follows from the data."""
    return {field: value for field, value in SHAPES[name].items() if field != "d_vocab"}


# All of tiny Shakespeare's held-out part; some seconds of evaluation on two cores.
EVALUATION_TOKENS = 2**18
# 50,257 tokens padded to a multiple of 128, for which GPUs multiply faster.
PADDED_VOCABULARY = 50_304

# nanoGPT's recipe for OpenWebText (config/train_gpt2.py): 480 windows of 1,024 tokens a step.
_GPT2 = Settings(
    tokenizer="gpt2",
    model={**_shape("gpt2"), "n_ctx": 1024, "d_vocab": PADDED_VOCABULARY},
    recipe=Recipe(
        max_steps=600_000,
        batch_size=480,
        learning_rate=6e-4,
        warmup_steps=2000,
        beta2=0.95,
        dtype="bfloat16",
        evaluate_every=1000,
        evaluation_tokens=2_457_600,
        checkpoint_every=1000,
    ),
)

PRESETS: Mapping[str, Settings] = MappingProxyType(
    {
        "stories": Settings(
            data="stories",
            model=_shape("stories"),
            recipe=Recipe(
                max_steps=3000,
                batch_size=8,
                learning_rate=3e-3,
                warmup_steps=50,
                final_fraction=0.0,
                weight_decay=0.0,
                beta2=0.98,
                # With large token embeddings a small model quickly learns to copy earlier words of
                # a story and to exclude impossible ones.
                embedding_scale=4.0,
                evaluate_every=300,
                checkpoint_every=300,
            ),
        ),
        "characters": Settings(
            model=_shape("characters"),
            recipe=Recipe(
                max_steps=1200,
                batch_size=10,
                learning_rate=5e-3,
                evaluate_every=200,
                evaluation_tokens=EVALUATION_TOKENS,
                checkpoint_every=200,
            ),
        ),
        # nanoGPT's setting for a laptop (its README: 4 layers of width 128, context 64, batch 12,
        # 2,000 steps, no dropout); the rate, the averages and the larger embeddings are our own.
        "shakespeare-cpu": Settings(
            model=dict(d_model=128, n_layers=4, n_heads=4, n_ctx=64),
            recipe=Recipe(
                max_steps=2000,
                batch_size=12,
                learning_rate=5e-3,
                final_fraction=0.02,
                beta2=0.98,
                embedding_scale=2.0,
                evaluate_every=500,
                evaluation_tokens=EVALUATION_TOKENS,
                checkpoint_every=500,
            ),
        ),
        # nanoGPT's config/train_shakespeare_char.py.
        "shakespeare": Settings(
            model=dict(d_model=384, n_layers=6, n_heads=6, n_ctx=256, dropout=0.2),
            recipe=Recipe(
                max_steps=5000,
                batch_size=64,
                learning_rate=1e-3,
                dtype="bfloat16",
                evaluate_every=250,
                evaluation_tokens=EVALUATION_TOKENS,
                checkpoint_every=250,
            ),
        ),
        "gpt2": _GPT2,
        # build-nanogpt's recipe (train_gpt2.py): 2^19 tokens a step, one epoch of 10 billion.
        "gpt2-fineweb": Settings(
            tokenizer="gpt2",
            model=_GPT2.model,
            recipe=Recipe(
                max_steps=19_073,
                batch_size=512,
                learning_rate=6e-4,
                warmup_steps=715,
                beta2=0.95,
                dtype="bfloat16",
                evaluate_every=250,
                evaluation_tokens=10_485_760,
                choices="hellaswag",
                checkpoint_every=1000,
            ),
        ),
        # From the weights of `stories` to answers about stories: docs/chat.md.
        "chat-stories": Settings(
            model=dict(n_ctx=128),
            recipe=Recipe(
                max_steps=3300,
                batch_size=12,
                learning_rate=3e-3,
                warmup_steps=50,
                final_fraction=0.0,
                weight_decay=0.0,
                beta2=0.98,
                evaluate_every=825,
                checkpoint_every=825,
            ),
        ),
        # In the published GPT-2, 2e-5 to 2e-6 in five epochs of oasst1's best paths.
        "chat-oasst": Settings(
            recipe=Recipe(
                max_steps=1,  # replaced according to the epochs
                epochs=5,
                batch_size=32,
                learning_rate=2e-5,
                final_fraction=0.1,
                weight_decay=0.0,
                beta2=0.95,
                dtype="bfloat16",
            ),
        ),
        # nanoGPT's config/finetune_shakespeare.py.
        "finetune": Settings(
            tokenizer="gpt2",
            init_from="gpt2",
            recipe=Recipe(
                max_steps=20,
                batch_size=32,
                learning_rate=3e-5,
                warmup_steps=0,
                final_fraction=1.0,
                evaluate_every=5,
                # nanoGPT's eval_iters of 40 windows.
                evaluation_tokens=40_960,
                checkpoint_every=5,
            ),
        ),
    }
)


def training_preset(name: str) -> Settings:
    """The settings of a preset. Raises UserError, with the nearest name, for an unknown one."""
    if name not in PRESETS:
        hint = did_you_mean(name, PRESETS, otherwise=f"choose one of {', '.join(PRESETS)}")
        raise UserError(f"there is no training preset {name!r}; {hint}")
    return PRESETS[name]
