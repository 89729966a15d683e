"""A run whose every step is logged and whose state is kept, so that it can go on after anything."""

from collections.abc import Callable, Iterator

from gpt2_small.errors import UserError
from gpt2_small.runs.log import append_log
from gpt2_small.training.checkpoints import Keeper
from gpt2_small.training.loop import RunRecord, Training, never
from gpt2_small.training.session import OpenRun
from gpt2_small.training.state import capture


def kept_records(run: OpenRun, asked_to_stop: Callable[[], bool] = never) -> Iterator[RunRecord]:
    """Train a run on, and yield a record after every step, once it is in the log.

    A checkpoint is written at the steps that the recipe says, at the last, and when asked to stop.
    All processes take part; the main one alone writes.

    Raises UserError when training diverges, and when the disk is full; the checkpoints that were
    there are unharmed.
    """
    training, recipe = run.training, run.settings.recipe
    keeper = Keeper(run.folder, recipe.keep)
    failures: list[Exception] = []

    def must_stop() -> bool:
        return asked_to_stop() or bool(failures or keeper.failures)

    saved = training.step
    try:
        for record in training.records(must_stop):
            if training.processes.is_main:
                _log(run, record, failures)
            if training.step % recipe.checkpoint_every == 0 or training.is_done:
                saved = training.step
                _keep(training, keeper, record.val_loss, failures)
            yield record
        if saved < training.step:
            _keep(training, keeper, None, failures)
    finally:
        keeper.wait()
    training.processes.on_main(lambda: _tell([*failures, *keeper.failures]))


def _keep(
    training: Training, keeper: Keeper, val_loss: float | None, failures: list[Exception]
) -> None:
    """Write a checkpoint; none after a step that is not in the log, which it must not outrun."""
    state = capture(training, val_loss)
    if training.processes.is_main and not failures:
        keeper.save(state)


def _log(run: OpenRun, record: RunRecord, failures: list[Exception]) -> None:
    """A log that cannot be written stops every process after the next step, not one at once.

    Nothing is added after the line that failed, of which a part may be there.
    """
    if failures:
        return
    try:
        append_log(run.folder, record.as_json())
    except UserError as error:
        failures.append(error)


def _tell(failures: list[Exception]) -> bytes:
    for failure in failures:
        raise failure
    return b""
