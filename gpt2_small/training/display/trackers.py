"""Send a run's records to TensorBoard and Weights & Biases."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gpt2_small.errors import UserError
from gpt2_small.training.step_record import RunRecord

TENSORBOARD_FOLDER = "tensorboard"


class Trackers:
    """Sends a run's records to the selected trackers."""

    def __init__(self, tensorboard: Any = None, wandb_run: Any = None) -> None:
        self._tensorboard, self._wandb = tensorboard, wandb_run

    def show(self, record: RunRecord) -> None:
        """Send a record."""
        numbers = record.as_json()
        step = numbers.pop("step")
        if self._tensorboard is not None:
            for name, value in numbers.items():
                if isinstance(value, int | float):
                    self._tensorboard.add_scalar(name, value, step)
                else:
                    self._tensorboard.add_text(name, value, step)
        if self._wandb is not None:
            self._wandb.log(numbers, step=step)

    def close(self) -> None:
        """Flush and close the trackers."""
        if self._tensorboard is not None:
            self._tensorboard.close()
        if self._wandb is not None:
            self._wandb.finish()


@contextmanager
def open_trackers(
    folder: Path,
    settings: Mapping[str, Any],
    *,
    tensorboard: bool,
    wandb: str | None,
    run_id: str | None = None,
    step: int = 0,
) -> Iterator[Trackers]:
    """Open the selected trackers, and close them at the end.

    wandb: the name of a project.
    run_id: the run's id, by which Weights & Biases resumes it.
    step: the run's steps so far; TensorBoard drops the records of later steps.

    Raises UserError for a tracker that is not installed, and for Weights & Biases without a key.
    """
    writer = project = None
    if tensorboard:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise UserError(_missing("TensorBoard", "tensorboard")) from None
        writer = SummaryWriter(str(folder / TENSORBOARD_FOLDER), purge_step=step + 1)
    if wandb:
        project = _open_wandb(folder, settings, wandb, run_id)
    trackers = Trackers(writer, project)
    try:
        yield trackers
    finally:
        trackers.close()


def _open_wandb(folder: Path, settings: Mapping[str, Any], project: str, run_id: str | None) -> Any:
    try:
        import wandb as weights_and_biases
    except ImportError:
        raise UserError(_missing("Weights & Biases", "wandb")) from None
    is_online = os.environ.get("WANDB_MODE", "online") == "online"
    if is_online and not weights_and_biases.api.api_key:
        raise UserError(
            "Weights & Biases has no API key; run `wandb login`, set WANDB_MODE=offline, or leave "
            "--wandb out"
        )
    try:
        return weights_and_biases.init(
            project=project,
            name=folder.name,
            id=run_id,
            resume="allow",
            dir=str(folder),
            config=dict(settings),
        )
    except weights_and_biases.Error as error:
        reason = str(error).split("\n")[0]
        raise UserError(f"Weights & Biases cannot be used ({reason}); leave --wandb out") from None


def _missing(name: str, package: str) -> str:
    return f"{name} is not installed; run `pip install {package}`, or leave --{package} out"
