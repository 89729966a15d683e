"""Train a run: log every step, write checkpoints, evaluate."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

from gpt2_small.errors import UserError
from gpt2_small.runs.log import append_log
from gpt2_small.training.checkpointing.checkpoints import CheckpointWriter
from gpt2_small.training.checkpointing.training_state import capture
from gpt2_small.training.choice_scores import choice_scores
from gpt2_small.training.loop import never
from gpt2_small.training.session import OpenRun
from gpt2_small.training.step_record import RunRecord


def train_run(
    run: OpenRun,
    asked_to_stop: Callable[[], bool] = never,
    on_batch: Callable[[int], object] = lambda targets: None,
) -> Iterator[RunRecord]:
    """Train a run to its end, or until asked to stop, and yield the records of its steps.

    Each step is made, then saved if a checkpoint is due (according to the recipe, at the last step,
    and when asked to stop), then evaluated if that is due, then logged. So a failing evaluation
    loses no step, and an interrupted one is repeated when the run is resumed. All processes take
    part; the main process alone writes.

    on_batch: called during an evaluation with the number of targets this process has evaluated.

    Raises UserError when training diverges, and when the disk is full; earlier checkpoints are
    unchanged.
    """
    training = run.training
    recorder = RunRecorder(run, asked_to_stop, on_batch)
    try:
        if run.unevaluated is not None:
            yield recorder.log(recorder.evaluated(run.unevaluated))
        while not (training.is_done or training.is_stopping):
            record = training.advance(recorder.must_stop())
            is_due = recorder.is_evaluation_due
            if recorder.is_checkpoint_due:
                recorder.save(record, is_due)
            if is_due and not training.is_stopping:
                record = recorder.evaluated(record)
            if training.is_stopping:
                recorder.save(record, is_due)
            yield recorder.log(record)
    finally:
        recorder.close()
    training.processes.on_main(recorder.report)


class RunRecorder:
    """Writes a run's log and checkpoints, and evaluates its model.

    failures: the errors of writing the log.
    """

    def __init__(
        self,
        run: OpenRun,
        asked_to_stop: Callable[[], bool] = never,
        on_batch: Callable[[int], object] = lambda targets: None,
    ) -> None:
        self.run, self.training = run, run.training
        self.asked_to_stop, self.on_batch = asked_to_stop, on_batch
        self.writer = CheckpointWriter(run.folder, self.training.recipe.keep, run.val_losses)
        self.failures: list[Exception] = []
        self._saved = self.training.step

    def must_stop(self) -> bool:
        """Whether the run was asked to stop, or writing its folder failed."""
        return self.asked_to_stop() or bool(self.failures or self.writer.failures)

    @property
    def is_evaluation_due(self) -> bool:
        training = self.training
        at_this_step = training.step % training.recipe.evaluate_every == 0
        return at_this_step or self.are_choices_due or training.is_done

    @property
    def are_choices_due(self) -> bool:
        training, recipe = self.training, self.training.recipe
        every = recipe.choices_every or recipe.evaluate_every
        return bool(self.run.questions) and (training.step % every == 0 or training.is_done)

    @property
    def is_checkpoint_due(self) -> bool:
        training = self.training
        at_this_step = training.step % training.recipe.checkpoint_every == 0
        return at_this_step or training.is_done or training.is_stopping

    def save(self, record: RunRecord, is_evaluated: bool) -> None:
        """Write a checkpoint of the step, unless it exists or writing the log failed."""
        if self._saved == record.step:
            return
        self._saved = record.step
        state = capture(self.training, record, is_evaluated)
        if self.training.processes.is_main and not self.failures:
            self.writer.save(state)

    def evaluated(self, record: RunRecord) -> RunRecord:
        """Evaluate the model, and add the held-out loss and the questions' scores to the record.

        After an interrupted evaluation the record is unchanged.

        Raises UserError when the loss is not finite.
        """
        if self.training.is_done:
            self.writer.wait()
        loss = self.training.evaluate(self.must_stop, self.on_batch)
        if loss is None:
            return record
        if not math.isfinite(loss):
            raise UserError(
                f"training diverged: the held-out loss after step {record.step} is {loss}; begin "
                "again in another folder with a lower --learning-rate"
            )
        self.run.val_losses[record.step] = loss
        scores = choice_scores(self.training, self.run.questions) if self.are_choices_due else {}
        return replace(record, val_loss=loss, scores={**record.scores, **scores})

    def log(self, record: RunRecord) -> RunRecord:
        """Append the record to the log, and return it.

        A failure stops all processes after the next step, and nothing is appended after it, since
        the failed line may be incomplete.
        """
        if self.training.processes.is_main and not self.failures:
            try:
                append_log(self.run.folder, record.as_json())
            except UserError as error:
                self.failures.append(error)
        return record

    def close(self) -> None:
        """Wait for the last checkpoint, and remove those not to be kept."""
        self.writer.wait()
        if self.training.processes.is_main and not self.writer.failures:
            self.writer.prune()

    def report(self) -> None:
        """Raise the first failure, if there was any."""
        for failure in (*self.failures, *self.writer.failures):
            raise failure
