"""Write checkpoints in the background, keep the last few and the best, find the last intact one."""

import math
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from threading import Thread

from gpt2_small.errors import UserError
from gpt2_small.files.atomic import sync
from gpt2_small.runs.checkpoint_folders import (
    CHECKPOINTS,
    LAST_CHECKPOINT,
    WEIGHTS,
    Checkpoint,
    find_checkpoints,
    note_checkpoint,
    noted_checkpoint,
    save_checkpoint,
)
from gpt2_small.runs.config import CONFIG
from gpt2_small.runs.log import LOG
from gpt2_small.runs.stored_solution import SOLUTION
from gpt2_small.tokenizers.registry import FILE_NAME as TOKENIZER
from gpt2_small.training.checkpointing.training_state import (
    OPTIMIZER,
    POSITION,
    RANDOM,
    TrainingState,
    read_position,
)

DAMAGED = ".damaged"
FILES = (WEIGHTS, OPTIMIZER, RANDOM, POSITION)


class CheckpointWriter:
    """Writes checkpoints into a run's folder in a background thread.

    keep: the number of latest checkpoints to keep, besides the one with the lowest held-out loss.
    val_losses: held-out losses by step; the caller adds to them.
    failures: the errors of writing.
    """

    def __init__(self, folder: Path, keep: int, val_losses: Mapping[int, float]) -> None:
        self.folder, self.keep, self.val_losses = folder, keep, val_losses
        self.failures: list[Exception] = []
        self._thread: Thread | None = None

    def save(self, state: TrainingState) -> None:
        """Write a checkpoint after the previous one; do nothing after a failure."""
        self.wait()
        if not self.failures:
            self._thread = Thread(target=self._write, args=(state,), daemon=True)
            self._thread.start()

    def wait(self) -> None:
        """Wait until no checkpoint is being written."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _write(self, state: TrainingState) -> None:
        try:
            self._sync_log()
            save_checkpoint(self.folder, state.step, state.weights, state.files())
            note_checkpoint(self.folder, state.step)
            self.prune()
        except OSError as error:
            self.failures.append(UserError(f"cannot keep checkpoints in {self.folder}: {error}"))
        except Exception as error:  # else it would end this thread alone
            self.failures.append(error)

    def _sync_log(self) -> None:
        """Flush the log and the folder's entries to the disk."""
        (self.folder / CHECKPOINTS).mkdir(exist_ok=True)
        log = self.folder / LOG
        if log.exists():
            sync(log)
        sync(self.folder)

    def prune(self) -> None:
        """Remove all checkpoints but the last few and the best."""
        checkpoints = find_checkpoints(self.folder)
        best = best_checkpoint(checkpoints, dict(self.val_losses))
        for checkpoint in checkpoints[: -self.keep]:
            if checkpoint != best:
                discard(checkpoint.folder)


def discard(folder: Path) -> None:
    """Remove a checkpoint; its folder is renamed first, so that a crash leaves no partial one."""
    hidden = folder.with_name(f".{folder.name}.discarded")
    shutil.rmtree(hidden, ignore_errors=True)
    folder.rename(hidden)
    shutil.rmtree(hidden)


def best_checkpoint(
    checkpoints: tuple[Checkpoint, ...], val_losses: Mapping[int, float]
) -> Checkpoint | None:
    """The earliest checkpoint with the lowest held-out loss; None without any measured."""
    measured = [
        checkpoint
        for checkpoint in checkpoints
        if math.isfinite(val_losses.get(checkpoint.step, math.nan))
    ]
    return min(measured, key=lambda checkpoint: val_losses[checkpoint.step], default=None)


def sweep(folder: Path) -> None:
    """Remove files and checkpoints that a crash left partially written or removed.

    A checkpoint whose replacement was not finished is restored.
    """
    for path in (folder / CHECKPOINTS).glob(".step-*"):
        match = re.fullmatch(r"\.(step-\d+)\.(unfinished|discarded|replaced)", path.name)
        if match is None:
            continue
        if match[2] == "replaced" and not path.with_name(match[1]).exists():
            path.rename(path.with_name(match[1]))
        else:
            shutil.rmtree(path)
    for name in (CONFIG, TOKENIZER, SOLUTION, LAST_CHECKPOINT, LOG):
        for path in folder.glob(f".{name}.*"):
            if re.fullmatch(r"[a-z0-9_]{8}", path.name.removeprefix(f".{name}.")):
                path.unlink()


def check_intact(checkpoint: Checkpoint) -> None:
    """Raises UserError, with the file, unless every file of a checkpoint has its recorded hash."""
    for name in FILES:
        checkpoint.file(name)
    step = read_position(checkpoint)["step"]
    if step != checkpoint.step:
        raise UserError(f"{checkpoint.folder} holds the state after step {step}")


def written_steps(folder: Path) -> list[int]:
    """The steps of a run's checkpoints, including those that `sweep` restores."""
    found = {checkpoint.step for checkpoint in find_checkpoints(folder)}
    for path in (folder / CHECKPOINTS).glob(".step-*.replaced"):
        number = path.name.removeprefix(".step-").removesuffix(".replaced")
        found |= {int(number)} if number.isdigit() else set()
    return sorted(found)


def check_found(folder: Path, logged_steps: int, checkpoint_every: int) -> None:
    """Raises UserError when a run's last recorded checkpoint is missing.

    Runs of the first version have no record. For them a log of two checkpoint intervals proves that
    the first checkpoint was written.
    """
    noted = noted_checkpoint(folder)
    if noted is None and logged_steps >= 2 * checkpoint_every:
        noted = checkpoint_every
    found, place = written_steps(folder), folder / CHECKPOINTS
    if noted is None or max(found, default=-1) >= noted:
        return
    if (place / f"step-{noted}{DAMAGED}").exists():
        return
    latest = f"the latest there is step {max(found)}" if found else f"{place} has none"
    record = folder / LAST_CHECKPOINT
    way_out = f", or remove {record} to resume from step {max(found)}" if found else ""
    raise UserError(
        f"{folder} has written a checkpoint of step {noted}, which cannot be found ({latest}); "
        f"make {place} available again{way_out}, or begin a new run in another folder"
    )


def last_intact_checkpoint(folder: Path) -> tuple[Checkpoint | None, list[str]]:
    """Find the latest undamaged checkpoint, rename later ones, and describe each in a remark.

    Returns None when there is no checkpoint.

    Raises UserError, and renames nothing, when all checkpoints are damaged.
    """
    damaged: dict[Checkpoint, UserError] = {}
    intact = None
    for checkpoint in reversed(find_checkpoints(folder)):
        try:
            check_intact(checkpoint)
        except UserError as error:
            damaged[checkpoint] = error
        else:
            intact = checkpoint
            break
    if damaged and intact is None:
        raise UserError(
            f"every checkpoint in {folder / CHECKPOINTS} is damaged, the latest because "
            f"{next(iter(damaged.values()))}; or begin a new run in another folder"
        )
    return intact, [_rename_damaged(checkpoint, error) for checkpoint, error in damaged.items()]


def _rename_damaged(checkpoint: Checkpoint, error: UserError) -> str:
    aside = checkpoint.folder.with_name(checkpoint.folder.name + DAMAGED)
    shutil.rmtree(aside, ignore_errors=True)
    checkpoint.folder.rename(aside)
    return f"{error}; checkpoint {checkpoint.step} was renamed {aside.name}"
