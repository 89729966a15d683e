"""Make and advance small trainings in this process, and save their checkpoints."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from small_runs import ALONE, SMALL, play

from gpt2_small.runs.checkpoint_folders import Checkpoint, find_checkpoints
from gpt2_small.training.checkpointing.checkpoints import CheckpointWriter
from gpt2_small.training.checkpointing.training_state import capture
from gpt2_small.training.loop import Training
from gpt2_small.training.step_record import RunRecord
from gpt2_small.training.training_data import open_data


def trainings(reference: ModuleType, folder: Path) -> Callable[..., Training]:
    """Return a function that creates trainings with equal starts, by default of the reference."""
    data = open_data(str(play(folder)), None, SMALL.model["n_ctx"])

    def make(solution: Any = reference, **changes: Any) -> Training:
        torch.manual_seed(0)
        fields = {**SMALL.model, "d_vocab": data.tokenizer.vocab_size, "dropout": 0.1, **changes}
        model = solution.Transformer(solution.TransformerConfig(**fields))
        return Training(solution, model, data, SMALL.recipe, ALONE)

    return make


def after(training: Training, steps: int) -> Training:
    """Advance the training by this many steps, and return it."""
    for _ in range(steps):
        training.advance()
    return training


def record(training: Training, **changes: Any) -> RunRecord:
    """Return the record of the training's last step."""
    fields = dict(loss=2.0, learning_rate=0.1, grad_norm=1.0, tokens_per_second=1.0)
    return RunRecord(**{**fields, "step": training.step, "tokens": training.tokens, **changes})


def checkpoint_of(training: Training, folder: Path) -> Checkpoint:
    """Return a checkpoint of the training's current state."""
    writer = CheckpointWriter(folder, keep=1, val_losses={})
    folder.mkdir(exist_ok=True)
    writer.save(capture(training, record(training), False))
    writer.wait()
    assert writer.failures == []
    return find_checkpoints(folder)[-1]
