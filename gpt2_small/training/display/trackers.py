"""Programs that draw many runs side by side: TensorBoard, and Weights & Biases."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gpt2_small.errors import UserError
from gpt2_small.training.loop import RunRecord

TENSORBOARD_FOLDER = "tensorboard"


class Trackers:
    """Passes a run's records on to those that were asked for."""

    def __init__(self, tensorboard: Any = None, wandb_run: Any = None) -> None:
        self._tensorboard, self._wandb = tensorboard, wandb_run

    def show(self, record: RunRecord) -> None:
        """Pass a record on."""
        numbers = record.as_json()
        step = numbers.pop("step")
        if self._tensorboard is not None:
            for name, value in numbers.items():
                self._tensorboard.add_scalar(name, value, step)
        if self._wandb is not None:
            self._wandb.log(numbers, step=step)

    def close(self) -> None:
        """Wait until everything is where it belongs."""
        if self._tensorboard is not None:
            self._tensorboard.close()
        if self._wandb is not None:
            self._wandb.finish()


@contextmanager
def open_trackers(
    folder: Path, settings: Mapping[str, Any], *, tensorboard: bool, wandb: str | None
) -> Iterator[Trackers]:
    """The trackers that were asked for, closed at the end.

    wandb: the name of a project.

    Raises UserError for one that is not installed.
    """
    writer = project = None
    if tensorboard:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise UserError(_missing("TensorBoard", "tensorboard")) from None
        writer = SummaryWriter(str(folder / TENSORBOARD_FOLDER))
    if wandb:
        try:
            import wandb as weights_and_biases
        except ImportError:
            raise UserError(_missing("Weights & Biases", "wandb")) from None
        project = weights_and_biases.init(
            project=wandb,
            name=folder.name,
            id=hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16],
            resume="allow",
            dir=str(folder),
            config=dict(settings),
        )
    trackers = Trackers(writer, project)
    try:
        yield trackers
    finally:
        trackers.close()


def _missing(name: str, package: str) -> str:
    return f"{name} is not installed; run `pip install {package}`, or leave --{package} out"
