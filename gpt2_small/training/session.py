"""Create or resume a run: open its folder, data and training with the right settings."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from gpt2_small import binding
from gpt2_small.data.prepare import PrepareProgress
from gpt2_small.errors import UserError
from gpt2_small.evaluation.choices import Question
from gpt2_small.files.locks import locked
from gpt2_small.model.building import config_from_fields
from gpt2_small.runs.checkpoint_folders import Checkpoint
from gpt2_small.runs.folder import create_run, is_run, read_run
from gpt2_small.runs.log import LOG, append_log, trim_log
from gpt2_small.tokenizers.protocol import Tokenizer
from gpt2_small.tokenizers.registry import FILE_NAME as TOKENIZER
from gpt2_small.tokenizers.registry import from_dict as restored_tokenizer
from gpt2_small.tokenizers.registry import save_tokenizer
from gpt2_small.training.allocator import keep_freed_memory, return_freed_memory
from gpt2_small.training.checkpointing.checkpoints import (
    last_intact_checkpoint,
    sweep,
)
from gpt2_small.training.checkpointing.initial_weights import InitialWeights, initialised_model
from gpt2_small.training.checkpointing.training_state import read_position, reseed, restore
from gpt2_small.training.choice_scores import hash_of, read_choices
from gpt2_small.training.distributed import Processes
from gpt2_small.training.distributed.rank_agreement import (
    any_restarted,
    check_alike,
    check_main_has_latest,
)
from gpt2_small.training.loop import Training
from gpt2_small.training.recipes.resuming import Decision, decide
from gpt2_small.training.recipes.rounding_environment import difference, environment_of
from gpt2_small.training.recipes.settings import (
    DATA_HASH,
    Settings,
)
from gpt2_small.training.step.micro_batch_size import check_possible, out_of_memory_while_building
from gpt2_small.training.step.skipped_updates import norms_in
from gpt2_small.training.step_record import RunRecord
from gpt2_small.training.training_data import (
    Data,
    fingerprint,
    is_same_data,
    open_data,
)

LOCK = ".lock"


@dataclass(frozen=True)
class OpenRun:
    """A run that can be trained.

    remarks: notes for the user about how it was opened.
    val_losses: held-out losses by step, of the evaluations so far.
    unevaluated: the last step of a resumed run whose evaluation was interrupted.
    questions: multiple-choice questions to answer at evaluations.
    """

    folder: Path
    settings: Settings
    data: Data
    training: Training
    remarks: tuple[str, ...]
    val_losses: dict[int, float] = field(default_factory=dict)
    unevaluated: RunRecord | None = None
    questions: tuple[Question, ...] = ()


@contextmanager
def open_run(
    solution: ModuleType,
    folder: Path,
    preset: Settings | None,
    changes: dict[str, Any],
    processes: Processes,
    *,
    resume: bool = False,
    progress: Callable[[PrepareProgress], object] | None = None,
) -> Iterator[OpenRun]:
    """Open a run and lock its folder. All processes take part.

    preset, changes: the run's settings; a resumed run needs neither.
    resume: resume the run in the folder, or start one when there is none; always true for workers
        restarted by torchrun.
    progress: called regularly while a text is being prepared.

    Raises UserError when the folder, the data, the model or the settings cannot be used.
    """
    resume = any_restarted(processes) or resume
    if resume:
        check_main_has_latest(processes, folder)
    decision = Decision.from_json(
        processes.on_main(lambda: decide(solution, folder, preset, changes, resume).as_json())
    )
    if processes.device.type == "cpu":
        recompute = decision.settings.recipe.recompute
        (return_freed_memory if recompute else keep_freed_memory)()
    training, data = processes.together(lambda: _build(solution, decision, processes, progress))
    questions = processes.together(
        lambda: read_choices(training.recipe, data.tokenizer, training.config.n_ctx)
    )
    data_hash = processes.together(lambda: fingerprint(data))
    hashes = {str(decision.settings.data): data_hash, "the solution": binding.sha256(solution)}
    check_alike(processes, hashes | {str(training.recipe.choices): hash_of(questions)})
    with _locked(folder, processes):
        run = _begin_or_resume(folder, decision, data_hash, training, data)
        yield replace(run, questions=questions)


@contextmanager
def _locked(folder: Path, processes: Processes) -> Iterator[None]:
    in_use = f"{folder} is in use by another process; wait for it, or give another folder"
    with ExitStack() as stack:

        def acquire() -> None:
            stack.enter_context(locked(folder / LOCK, in_use=in_use))

        processes.on_main(acquire)
        yield


def _build(
    solution: ModuleType,
    decision: Decision,
    processes: Processes,
    progress: Callable[[PrepareProgress], object] | None,
) -> tuple[Training, Data]:
    settings, recipe = decision.settings, decision.settings.recipe
    fields = dict(settings.model)
    tokenizer: str | Tokenizer | None = settings.tokenizer
    initial = None
    if decision.tokenizer is not None:
        tokenizer = restored_tokenizer(decision.tokenizer)
    if settings.init_from is not None and not decision.is_resumed:
        initial = InitialWeights.open(settings.init_from, processes.device)
        decision.remarks.extend(initial.source.remarks)
        tokenizer = initial.source.tokenizer
        fields = initial.fields(fields)
    n_ctx = config_from_fields(fields, "the model").n_ctx
    assert settings.data is not None
    data = open_data(
        settings.data,
        tokenizer,
        n_ctx,
        column=settings.column,
        held_out_tokens=recipe.evaluation_tokens,
        order=recipe.order,
        progress=progress,
    )
    if initial is not None:
        fields["d_vocab"] = initial.vocabulary(settings.data, data.tokenizer)
    fields.setdefault("d_vocab", data.tokenizer.d_vocab)
    config = config_from_fields(fields, "the model")
    check_possible(config, recipe, processes)
    with out_of_memory_while_building(processes.device):
        model = initialised_model(
            solution, config, recipe, processes.device, initial, data.tokenizer
        )
        return Training(solution, model, data, recipe, processes), data


def _begin_or_resume(
    folder: Path,
    decision: Decision,
    data_hash: str,
    training: Training,
    data: Data,
) -> OpenRun:
    """Create the folder, or restore the training from the run's last intact checkpoint."""
    processes, settings = training.processes, decision.settings
    checkpoint = None

    def on_disk() -> dict[str, Any]:
        nonlocal checkpoint
        trained_with = binding.training_record(training.solution)
        run_settings = {**settings.as_json(), DATA_HASH: data_hash, **trained_with}
        sweep(folder)
        if is_run(folder) and decision.is_resumed:
            checkpoint, found = _reopen(folder, settings, run_settings, training, data)
            return found
        create_run(
            folder,
            model_fields=asdict(training.config),
            tokenizer=data.tokenizer,
            run=run_settings,
            solution=training.solution,
            environment=environment_of(training),
        )
        return {"remarks": []}

    found = processes.on_main(on_disk)
    unevaluated = None
    if decision.is_resumed:
        restore(training, checkpoint)
        training.guard.remember(found["norms"])
        unevaluated = found["unevaluated"]
    elif processes.rank > 0:
        reseed(training.recipe.seed, 0, processes.rank)
    return OpenRun(
        folder,
        settings,
        data,
        training,
        (*decision.remarks, *getattr(data, "remarks", ()), *training.remarks, *found["remarks"]),
        {step: loss for step, loss in found.get("val_losses", ()) if loss is not None},
        None if unevaluated is None else RunRecord.from_json(unevaluated),
    )


def _reopen(
    folder: Path,
    settings: Settings,
    run_settings: Mapping[str, Any],
    training: Training,
    data: Data,
) -> tuple[Checkpoint, dict[str, Any]]:
    """Restore the log of a run's last intact checkpoint; the values are shared with all processes.

    Raises UserError for other data than the run's, and for fewer steps than it has made.
    """
    run = read_run(folder)
    if not is_same_data(run.settings.get(DATA_HASH), data):
        raise UserError(
            f"{settings.data} is not the data that {folder} was started with (its SHA-256 is "
            "another); give that with --data"
        )
    checkpoint, remarks = last_intact_checkpoint(folder)
    assert checkpoint is not None
    if checkpoint.step > settings.recipe.max_steps:
        raise UserError(
            f"--max-steps is {settings.recipe.max_steps}, but the run in {folder} is at step "
            f"{checkpoint.step} already; give at least that"
        )
    environment = environment_of(training)
    remark = difference(run.config.environment, environment)
    remarks += [remark] if remark else []
    run.update(run_settings, training.solution, environment)
    if not os.path.lexists(folder / TOKENIZER):
        save_tokenizer(data.tokenizer, folder)
    log, unevaluated = _restore_log(folder, read_position(checkpoint))
    all_records = log if unevaluated is None else [*log, unevaluated]
    return checkpoint, {
        "remarks": [*remarks, f"resuming from step {checkpoint.step:,}"],
        "val_losses": [[each["step"], each["val_loss"]] for each in log if "val_loss" in each],
        "norms": norms_in(all_records),
        "unevaluated": unevaluated,
    }


def _restore_log(
    folder: Path, position: dict[str, Any]
) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """Restore the log up to a checkpoint's step, whose record is also in the checkpoint.

    Returns the log's records, and the last step's record if its evaluation is missing.
    """
    step = position["step"]
    log = trim_log(folder, step)
    has_last = bool(log) and log[-1]["step"] == step
    if position.get("is_evaluated") and not (has_last and "val_loss" in log[-1]):
        return trim_log(folder, step - 1), position["record"]
    if not has_last and "record" in position:
        append_log(folder, position["record"])
        log.append(position["record"])
    for number, record in enumerate(log, start=1):
        if "loss" not in record:
            raise UserError(f"{folder / LOG}, line {number}, is damaged: it has no loss")
    return log, None
