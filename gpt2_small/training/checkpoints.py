"""Checkpoints on the disk: written in the background, the last few and the best kept."""

import math
import re
import shutil
from pathlib import Path
from threading import Thread

from gpt2_small.errors import UserError
from gpt2_small.files import sync
from gpt2_small.runs.folder import (
    CHECKPOINTS,
    CONFIG,
    WEIGHTS,
    Checkpoint,
    find_checkpoints,
    save_checkpoint,
)
from gpt2_small.runs.log import LOG
from gpt2_small.tokenizers.registry import FILE_NAME as TOKENIZER
from gpt2_small.training.state import OPTIMIZER, POSITION, RANDOM, State, read_position

DAMAGED = ".damaged"
FILES = (WEIGHTS, OPTIMIZER, RANDOM, POSITION)


class Keeper:
    """Saves states into a run's folder, one after the other, while training goes on.

    keep: how many of the latest checkpoints stay, besides the one of the lowest held-out loss.
    failures: why a checkpoint could not be written.
    """

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder, self.keep = folder, keep
        self.failures: list[Exception] = []
        self._writer: Thread | None = None

    def save(self, state: State) -> None:
        """Write a state as a checkpoint, after the one before; nothing once one has failed."""
        self.wait()
        if not self.failures:
            self._writer = Thread(target=self._write, args=(state,), daemon=True)
            self._writer.start()

    def wait(self) -> None:
        """Until no checkpoint is being written."""
        if self._writer is not None:
            self._writer.join()
            self._writer = None

    def _write(self, state: State) -> None:
        try:
            self._sync_what_came_before()
            save_checkpoint(self.folder, state.step, state.weights, state.files())
            self._prune()
        except OSError as error:
            self.failures.append(UserError(f"cannot keep checkpoints in {self.folder}: {error}"))
        except Exception as error:  # else it would end this thread alone, and the run go on
            self.failures.append(error)

    def _sync_what_came_before(self) -> None:
        """A checkpoint is on the disk only after the log up to it, and the names of the files."""
        (self.folder / CHECKPOINTS).mkdir(exist_ok=True)
        log = self.folder / LOG
        if log.exists():
            sync(log)
        sync(self.folder)

    def _prune(self) -> None:
        checkpoints = find_checkpoints(self.folder)
        best = best_checkpoint(checkpoints)
        for checkpoint in checkpoints[: -self.keep]:
            if checkpoint != best:
                discard(checkpoint.folder)


def discard(folder: Path) -> None:
    """Remove a folder; a crash on the way leaves nothing that looks like a whole one."""
    hidden = folder.with_name(f".{folder.name}.discarded")
    shutil.rmtree(hidden, ignore_errors=True)
    folder.rename(hidden)
    shutil.rmtree(hidden)


def best_checkpoint(checkpoints: tuple[Checkpoint, ...]) -> Checkpoint | None:
    """The one of the lowest held-out loss, the earliest of equals; none where none was measured."""
    losses = {}
    for checkpoint in checkpoints:
        try:
            loss = read_position(checkpoint)["val_loss"]
        except UserError:
            continue
        if loss is not None and math.isfinite(loss):
            losses[checkpoint] = loss
    return min(losses, key=losses.__getitem__, default=None)


def sweep(folder: Path) -> None:
    """Remove what a crash left of files and checkpoints that were being written or discarded.

    A checkpoint that was about to be replaced by another of its step is there again.
    """
    for path in (folder / CHECKPOINTS).glob(".step-*"):
        match = re.fullmatch(r"\.(step-\d+)\.(unfinished|discarded|replaced)", path.name)
        if match is None:
            continue
        if match[2] == "replaced" and not path.with_name(match[1]).exists():
            path.rename(path.with_name(match[1]))
        else:
            shutil.rmtree(path)
    for name in (CONFIG, TOKENIZER, LOG):
        for path in folder.glob(f".{name}.*"):
            if re.fullmatch(r"[a-z0-9_]{8}", path.name.removeprefix(f".{name}.")):
                path.unlink()


def check_whole(checkpoint: Checkpoint) -> None:
    """Raises UserError, with the file, unless all of a checkpoint is what was written."""
    for name in FILES:
        checkpoint.file(name)
    step = read_position(checkpoint)["step"]
    if step != checkpoint.step:
        raise UserError(f"{checkpoint.folder} holds the state after step {step}")


def last_whole_checkpoint(folder: Path) -> tuple[Checkpoint | None, list[str]]:
    """The latest checkpoint whose files are all as they were written, and a sentence on each later.

    The later ones are set aside under another name. Without any checkpoint there is none.

    Raises UserError when there are some and all are damaged; then they are left as they are.
    """
    damaged: dict[Checkpoint, UserError] = {}
    whole = None
    for checkpoint in reversed(find_checkpoints(folder)):
        try:
            check_whole(checkpoint)
        except UserError as error:
            damaged[checkpoint] = error
        else:
            whole = checkpoint
            break
    if damaged and whole is None:
        raise UserError(
            f"every checkpoint in {folder / CHECKPOINTS} is damaged, the latest so: "
            f"{next(iter(damaged.values()))}; or remove that folder to begin again"
        )
    return whole, [_set_aside(checkpoint, error) for checkpoint, error in damaged.items()]


def _set_aside(checkpoint: Checkpoint, error: UserError) -> str:
    aside = checkpoint.folder.with_name(checkpoint.folder.name + DAMAGED)
    shutil.rmtree(aside, ignore_errors=True)
    checkpoint.folder.rename(aside)
    return f"{error}; checkpoint {checkpoint.step} is set aside as {aside.name}"
