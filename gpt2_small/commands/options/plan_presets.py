"""Resolve a preset's name for a plan: a model's shape, or a training run."""

from dataclasses import dataclass
from typing import Any

from gpt2_small.errors import UserError, did_you_mean
from gpt2_small.model.presets import PRESETS as SHAPES
from gpt2_small.model.presets import preset as shape_of
from gpt2_small.model_protocol import Config
from gpt2_small.planning.planned_run import KEEP
from gpt2_small.training.recipes.settings import Settings
from gpt2_small.training.recipes.training_presets import PRESETS as RUNS

DTYPE = "bfloat16"
# The preset whose vocabulary size is assumed for a character tokenizer.
CHARACTERS = "characters"


@dataclass(frozen=True)
class PlannedPreset:
    """A preset's values for a plan; None if it does not set them.

    tokens, batch_tokens: to train on, and in a step.
    keep: latest checkpoints kept on disk.
    """

    config: Config
    dtype: str = DTYPE
    tokens: int | None = None
    batch_tokens: int | None = None
    keep: int = KEEP


def planned_preset(name: str) -> PlannedPreset:
    """The model with this name, else the training run with this name.

    Raises UserError, with the nearest name, for an unknown one.
    """
    if name in SHAPES:
        return PlannedPreset(shape_of(name))
    if name not in RUNS:
        known = [*SHAPES, *(run for run in RUNS if run not in SHAPES)]
        hint = did_you_mean(name, known, otherwise=f"choose one of {', '.join(known)}")
        raise UserError(f"there is no preset {name!r}; {hint}")
    settings = RUNS[name]
    config, recipe = _shape(settings), settings.recipe
    batch_tokens = recipe.batch_size * config.n_ctx
    return PlannedPreset(
        config, recipe.dtype, recipe.max_steps * batch_tokens, batch_tokens, recipe.keep
    )


def _shape(settings: Settings) -> Any:
    if settings.init_from is not None and settings.init_from in SHAPES:
        return shape_of(settings.init_from, **settings.model)
    assumed = CHARACTERS if settings.tokenizer is None else "gpt2"
    d_vocab = shape_of(assumed).d_vocab
    return shape_of("gpt2", **{"d_vocab": d_vocab, **settings.model})
