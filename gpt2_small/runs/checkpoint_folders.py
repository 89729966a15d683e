"""Write and find the checkpoints in a run's folder."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor, nn

from gpt2_small.errors import UserError
from gpt2_small.files.atomic import atomic_folder, write_atomically
from gpt2_small.files.hashes import verified
from gpt2_small.files.json_files import read_json
from gpt2_small.model.building import read_safetensors

CHECKPOINTS = "checkpoints"
WEIGHTS = "model.safetensors"
# Records the last checkpoint written, so that a missing one is noticed.
LAST_CHECKPOINT = "last_checkpoint.json"
LAST_CHECKPOINT_FORMAT = "gpt2-small-last-checkpoint/1"


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


def find_checkpoints(folder: Path) -> tuple[Checkpoint, ...]:
    """Find the checkpoints in a run's folder, the earliest first."""
    found = []
    for path in (folder / CHECKPOINTS).glob("step-*"):
        number = path.name.removeprefix("step-")
        if number.isascii() and number.isdigit():
            found.append(Checkpoint(int(number), path))
    return tuple(sorted(found, key=lambda checkpoint: checkpoint.step))


def note_checkpoint(folder: Path, step: int) -> None:
    """Record that the checkpoint of a step was written. Raises UserError when it cannot be."""
    content = {"format": LAST_CHECKPOINT_FORMAT, "step": step}
    write_atomically(folder / LAST_CHECKPOINT, json.dumps(content) + "\n")


def noted_checkpoint(folder: Path) -> int | None:
    """Read the step of the last checkpoint written; None if none is recorded.

    Raises UserError for a damaged record.
    """
    path = folder / LAST_CHECKPOINT
    if not path.exists():
        return None
    step = read_json(path, LAST_CHECKPOINT_FORMAT).get("step")
    if type(step) is not int:
        raise UserError(f"{path} is damaged, its 'step' is not a number; remove it")
    return step


def save_checkpoint(
    folder: str | Path,
    step: int,
    model: nn.Module | Mapping[str, Tensor],
    more: Mapping[str, Mapping[str, Tensor] | bytes] | None = None,
) -> Path:
    """Write a model's parameters to `checkpoints/step-N`, atomically.

    model: the model, or its parameters by name.
    more: further files by name, either tensors (written as safetensors) or bytes.

    Returns the checkpoint's folder. Raises UserError when it cannot be written; earlier checkpoints
    are unchanged.
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
