"""The folder of a run: its config, its tokenizer, its log, and its checkpoints."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from gpt2_small.errors import UserError
from gpt2_small.files import atomic_folder, read_json, verified, write_atomically
from gpt2_small.model.building import build_model, config_from_fields, fill, read_safetensors
from gpt2_small.runs.log import LOG
from gpt2_small.tokenizers.protocol import Tokenizer
from gpt2_small.tokenizers.registry import load_tokenizer, save_tokenizer

FORMAT = "gpt2-small-run/1"
CONFIG = "config.json"
CHECKPOINTS = "checkpoints"
WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """The state of a run after a step.

    step: counted from 1; 0 is the state before the first.
    folder: where its files are.
    """

    step: int
    folder: Path

    def file(self, name: str) -> Path:
        """The path of one of its files, its hash verified. Raises UserError for a damaged one."""
        return verified(self.folder, name)

    def tensors(self, name: str) -> dict[str, Tensor]:
        """The tensors of one of its safetensors files. Raises UserError for a damaged one."""
        return read_safetensors(self.file(name))


@dataclass(frozen=True)
class Run:
    """What stands in a run's folder.

    model_fields: the fields of its TransformerConfig.
    settings: what the run was started with.
    checkpoints: the earliest first.
    """

    folder: Path
    model_fields: dict[str, Any]
    tokenizer_name: str
    settings: dict[str, Any]
    checkpoints: tuple[Checkpoint, ...]

    def load_tokenizer(self) -> Tokenizer:
        """The run's tokenizer. Raises UserError when its file is missing or damaged."""
        return load_tokenizer(self.folder)

    def latest_checkpoint(self) -> Checkpoint:
        """The checkpoint with the most steps. Raises UserError when there is none yet."""
        if not self.checkpoints:
            raise UserError(f"{self.folder} has no checkpoint yet; train it for some steps first")
        return self.checkpoints[-1]

    def checkpoint(self, step: int) -> Checkpoint:
        """The checkpoint of a step. Raises UserError, with the steps there are, for another."""
        for checkpoint in self.checkpoints:
            if checkpoint.step == step:
                return checkpoint
        steps = ", ".join(str(checkpoint.step) for checkpoint in self.checkpoints) or "none yet"
        raise UserError(f"{self.folder} has no checkpoint of step {step}; it has: {steps}")


def create_run(
    folder: str | Path,
    *,
    model_fields: Mapping[str, Any],
    tokenizer: Tokenizer,
    run: Mapping[str, Any],
) -> Run:
    """Start a run's folder with its config and its tokenizer; what was logged there is dropped.

    model_fields: the fields of a TransformerConfig.
    run: what the run was started with, as JSON values.

    Raises UserError when the folder holds checkpoints or something else than a run, when the
    vocabulary is too small for the tokenizer, or when the disk does not allow it.
    """
    folder = Path(folder)
    check_free(folder)
    config_from_fields(model_fields, "the model")
    if model_fields.get("d_vocab", tokenizer.vocab_size) < tokenizer.vocab_size:
        raise UserError(
            f"d_vocab is {model_fields['d_vocab']}, but tokenizer {tokenizer.name!r} has "
            f"{tokenizer.vocab_size} tokens; give d_vocab={tokenizer.vocab_size} or more"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / LOG).unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"cannot write {folder} ({error.strerror}); give another folder") from error
    # The config first: with it the folder is known as a run's, and can be started again.
    write_config(folder, model_fields, tokenizer.name, run)
    save_tokenizer(tokenizer, folder)
    return read_run(folder)


def write_config(
    folder: Path, model_fields: Mapping[str, Any], tokenizer_name: str, run: Mapping[str, Any]
) -> None:
    """Write a run's config.json. Raises UserError when the disk does not allow it."""
    content = {
        "format": FORMAT,
        "model": dict(model_fields),
        "tokenizer": tokenizer_name,
        "run": dict(run),
    }
    write_atomically(folder / CONFIG, json.dumps(content, indent=1) + "\n")


def check_free(folder: Path) -> None:
    """Raises UserError for a folder that holds checkpoints or something else than a run."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise UserError(f"{folder} is a file; give the name of a folder for the run")
    if is_run(folder):
        checkpoints = find_checkpoints(folder)
        if checkpoints:
            raise UserError(
                f"{folder} holds a run with checkpoints up to step {checkpoints[-1].step}; "
                f"go on with `gpt2-small train --out {folder} --resume`, or give another folder"
            )
    elif any(not path.name.startswith(".") for path in folder.iterdir()):
        raise UserError(f"{folder} is not empty and holds no run; give a new folder")


def is_run(folder: Path) -> bool:
    """Whether a folder's config.json says that it is a run, of whatever version."""
    config = folder / CONFIG
    return config.is_file() and b'"gpt2-small-run/' in config.read_bytes()


def find_checkpoints(folder: Path) -> tuple[Checkpoint, ...]:
    """The checkpoints in a run's folder, the earliest first."""
    found = []
    for path in (folder / CHECKPOINTS).glob("step-*"):
        number = path.name.removeprefix("step-")
        if number.isascii() and number.isdigit():
            found.append(Checkpoint(int(number), path))
    return tuple(sorted(found, key=lambda checkpoint: checkpoint.step))


def read_run(folder: str | Path) -> Run:
    """Read what a run's folder says of itself; no weights yet.

    Raises UserError for a folder that is missing, damaged, or of another format.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}; give the folder of a run")
    path = folder / CONFIG
    content = read_json(path, FORMAT)
    for name, kind in (("model", dict), ("tokenizer", str), ("run", dict)):
        if not isinstance(content.get(name), kind):
            raise UserError(f"{path} is damaged, its {name!r} is missing or wrong; copy it again")
    config_from_fields(content["model"], str(path))
    return Run(
        folder, content["model"], content["tokenizer"], content["run"], find_checkpoints(folder)
    )


def save_checkpoint(
    folder: str | Path,
    step: int,
    model: nn.Module | Mapping[str, Tensor],
    more: Mapping[str, Mapping[str, Tensor] | bytes] | None = None,
) -> Path:
    """Write a model's parameters to `checkpoints/step-N`, whole or not at all.

    model: the model, or its parameters by name.
    more: further files by name, either tensors (written as safetensors) or bytes.

    Returns the checkpoint's folder. Raises UserError when the disk does not allow it; earlier
    checkpoints are unharmed.
    """
    path = Path(folder) / CHECKPOINTS / f"step-{step}"
    named = model.named_parameters() if isinstance(model, nn.Module) else model.items()
    weights = {name: value.detach() for name, value in named}
    with atomic_folder(path) as aside:
        for name, content in {WEIGHTS: weights, **(more or {})}.items():
            if isinstance(content, bytes):
                (aside / name).write_bytes(content)
            else:
                save_file({key: value.contiguous() for key, value in content.items()}, aside / name)
    return path


def load_model(
    folder: str | Path,
    *,
    step: int | None = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
) -> Any:
    """The bound solution's Transformer with a run's weights, in eval mode.

    step: which checkpoint; the latest when left out.
    dtype: of the parameters; float32 when left out.

    Raises UserError for a folder, a checkpoint or a device that cannot be used.
    """
    run = read_run(folder)
    checkpoint = run.latest_checkpoint() if step is None else run.checkpoint(step)
    model = build_model(
        run.model_fields, source=str(run.folder / CONFIG), device=device, dtype=dtype
    )
    fill(model, _weights(run, checkpoint), source=str(checkpoint.folder / WEIGHTS))
    return model


def _weights(run: Run, checkpoint: Checkpoint) -> dict[str, Tensor]:
    try:
        return checkpoint.tensors(WEIGHTS)
    except UserError as error:
        earlier = [other.step for other in run.checkpoints if other.step < checkpoint.step]
        if not earlier:
            raise
        raise UserError(
            f"{error}; or move {checkpoint.folder} away, and the checkpoint of step {earlier[-1]} "
            "is used"
        ) from None
