"""Create and read the folder of a run: config, tokenizer, solution and log; load its model."""

import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from gpt2_small import binding
from gpt2_small.errors import UserError, shell_word
from gpt2_small.files.write_errors import cannot_write
from gpt2_small.model.building import build_model, config_from_fields, fill
from gpt2_small.runs.checkpoint_folders import (
    LAST_CHECKPOINT,
    WEIGHTS,
    Checkpoint,
    find_checkpoints,
)
from gpt2_small.runs.config import CONFIG as CONFIG
from gpt2_small.runs.config import RunConfig, read_config, write_config
from gpt2_small.runs.log import LOG
from gpt2_small.runs.stored_solution import SOLUTION, store_solution
from gpt2_small.tokenizers.protocol import Tokenizer
from gpt2_small.tokenizers.registry import load_tokenizer, save_tokenizer

if TYPE_CHECKING:
    from gpt2_small import Transformer

# Attempts to read the latest checkpoint while a training run replaces it.
READ_ATTEMPTS = 5


@dataclass(frozen=True)
class Run:
    """A run's folder: config and checkpoints.

    config: the content of its config.json.
    checkpoints: the earliest first.
    """

    folder: Path
    config: RunConfig
    checkpoints: tuple[Checkpoint, ...]

    @property
    def model_fields(self) -> dict[str, Any]:
        """The fields of its TransformerConfig."""
        return dict(self.config.model)

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that the run was started with."""
        return dict(self.config.run)

    def check_solution(self) -> str | None:
        """Compare the solution that trained the run with the one in use.

        Returns a remark when an older run does not name its solution.

        Raises UserError, with the file or its stored copy, when another file trained the run.
        """
        return binding.check_trained_with(self.settings, self.folder, self.folder / SOLUTION)

    def update(
        self, settings: Mapping[str, Any], solution: ModuleType, environment: Mapping[str, Any]
    ) -> None:
        """Write the settings, environment and solution of a resumed run, where they changed."""
        config = replace(self.config, run=settings, environment=environment)
        if config != self.config:
            write_config(self.folder, config)
        store_solution(self.folder, solution)

    def load_tokenizer(self) -> Tokenizer:
        """The run's tokenizer. Raises UserError when its file is missing or damaged."""
        return load_tokenizer(self.folder)

    def latest_checkpoint(self) -> Checkpoint:
        """The latest checkpoint. Raises UserError when there is none yet."""
        if not self.checkpoints:
            raise UserError(f"{self.folder} has no checkpoint yet; train it for some steps first")
        return self.checkpoints[-1]

    def checkpoint(self, step: int) -> Checkpoint:
        """The checkpoint of a step. Raises UserError, with the existing steps, if it is missing."""
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
    solution: ModuleType | None = None,
    environment: Mapping[str, Any] | None = None,
) -> Run:
    """Create a run's folder with its config, tokenizer and solution; remove an earlier log.

    model_fields: the fields of a TransformerConfig.
    run: the settings that the run was started with, as JSON values.
    solution: the module that trains it, whose text is stored.
    environment: as in RunConfig.

    Raises UserError when the folder holds checkpoints or other files than a run's, when the
    vocabulary is too small for the tokenizer, and when the folder cannot be written.
    """
    folder = Path(folder)
    check_free(folder)
    config = config_from_fields(model_fields, "the model")
    if model_fields.get("d_vocab", tokenizer.vocab_size) < tokenizer.vocab_size:
        raise UserError(
            f"d_vocab is {model_fields['d_vocab']}, but tokenizer {tokenizer.name!r} has "
            f"{tokenizer.vocab_size} tokens; give d_vocab={tokenizer.vocab_size} or more"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in (LOG, LAST_CHECKPOINT):
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise cannot_write(folder, error) from error
    # The config first: it marks the folder as a run's, so that a start can be repeated.
    write_config(
        folder,
        RunConfig(
            model=asdict(config),
            tokenizer=tokenizer.name,
            run=run,
            id=uuid.uuid4().hex,
            environment=environment or {},
        ),
    )
    save_tokenizer(tokenizer, folder)
    if solution is not None:
        store_solution(folder, solution)
    return read_run(folder)


def check_free(folder: Path) -> None:
    """Raises UserError for a folder that holds checkpoints or other files than a run's."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise UserError(f"{folder} is a file; give the name of a folder for the run")
    if is_run(folder):
        checkpoints = find_checkpoints(folder)
        if checkpoints:
            raise UserError(
                f"{folder} holds a run with checkpoints up to step {checkpoints[-1].step}; "
                f"resume it with `gpt2-small train --out {shell_word(folder)} --resume`, or give "
                "another folder"
            )
    elif any(not path.name.startswith(".") for path in folder.iterdir()):
        raise UserError(f"{folder} is not empty and holds no run; give a new folder")


def is_run(folder: Path) -> bool:
    """Whether a folder's config.json is a run's, of any version."""
    config = folder / CONFIG
    return config.is_file() and b'"gpt2-small-run/' in config.read_bytes()


def read_run(folder: str | Path) -> Run:
    """Read a run's config and list its checkpoints; no weights are loaded.

    Raises UserError for a folder that is missing, damaged, or of another format.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}; give the folder of a run")
    return Run(folder, read_config(folder), find_checkpoints(folder))


class LoadedRun(NamedTuple):
    """A run with the weights of one of its checkpoints.

    remark: as `Run.check_solution` gives it.
    """

    run: Run
    step: int
    model: "Transformer"
    remark: str | None


def load_model(
    folder: str | Path,
    *,
    step: int | None = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
) -> "Transformer":
    """Load the bound solution's Transformer with a run's weights, as `load_run` does."""
    return load_run(folder, step=step, device=device, dtype=dtype).model


def load_run(
    folder: str | Path,
    *,
    step: int | None = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
) -> LoadedRun:
    """Load a run: the bound solution's Transformer with the run's weights, in eval mode.

    step: of the checkpoint; left out, the latest.
    dtype: of the parameters; left out, float32.

    Raises UserError for a folder, a checkpoint or a device that cannot be used, and for weights
    trained with another solution file.
    """
    run = read_run(folder)
    remark = run.check_solution()
    for _ in range(READ_ATTEMPTS):
        checkpoint = run.latest_checkpoint() if step is None else run.checkpoint(step)
        try:
            tensors = _weights(run, checkpoint)
        except UserError:
            if checkpoint.folder.exists():
                raise
            run = read_run(folder)  # training has replaced it by a later one
        else:
            break
    else:
        raise UserError(f"the checkpoints in {folder} are replaced too quickly; try again")
    model = build_model(
        run.model_fields, source=str(run.folder / CONFIG), device=device, dtype=dtype
    )
    fill(model, tensors, source=str(checkpoint.folder / WEIGHTS))
    return LoadedRun(run, checkpoint.step, model, remark)


def _weights(run: Run, checkpoint: Checkpoint) -> dict[str, Tensor]:
    try:
        return checkpoint.tensors(WEIGHTS)
    except FileNotFoundError as error:
        raise UserError(f"{error.filename} is missing") from None
    except UserError as error:
        earlier = [other.step for other in run.checkpoints if other.step < checkpoint.step]
        if not earlier:
            raise
        raise UserError(
            f"{error}; or move {checkpoint.folder} away, and the checkpoint of step {earlier[-1]} "
            "is used"
        ) from None
