"""Decide whether to start or resume a run, and with which settings."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from gpt2_small import binding
from gpt2_small.data.conversations.chat_folder import holds_chats, open_chats
from gpt2_small.errors import UserError
from gpt2_small.runs.config import CONFIG
from gpt2_small.runs.folder import Run, check_free, is_run, read_run
from gpt2_small.runs.log import LOG, read_log
from gpt2_small.tokenizers.registry import FILE_NAME as TOKENIZER
from gpt2_small.training.checkpointing.checkpoints import (
    check_found,
    written_steps,
)
from gpt2_small.training.choice_scores import with_hellaswag_found
from gpt2_small.training.recipes import settings as settings_module
from gpt2_small.training.recipes.recipe import in_steps
from gpt2_small.training.recipes.settings import (
    Settings,
    changed,
    needs_weights,
    resumed,
    settings_of_run,
)
from gpt2_small.training.step.schedule import extended

CURVE = "loss.png"


@dataclass(frozen=True)
class Decision:
    """The main process's decision about a run's folder: start or resume, and the settings.

    is_resumed: whether the run is resumed from a checkpoint.
    tokenizer: of a resumed run, as JSON values.
    """

    settings: Settings
    is_resumed: bool
    tokenizer: dict[str, Any] | None
    remarks: list[str]

    def as_json(self) -> dict[str, Any]:
        return {**vars(self), "settings": settings_module.as_json(self.settings)}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "Decision":
        """Restore the values of `as_json`."""
        return cls(**{**content, "settings": settings_module.from_json(content["settings"])})


def decide(
    solution: ModuleType,
    folder: Path,
    preset: Settings | None,
    changes: dict[str, Any],
    resume: bool,
) -> Decision:
    """Decide whether to start or resume the run in a folder, without changing anything.

    Raises UserError when it can neither be started nor resumed.
    """
    preset = None if preset is None else _with_steps(folder, preset, changes)
    if (folder / CURVE).is_dir():
        raise UserError(f"{folder / CURVE} is a folder, where the picture goes; move it away")
    if not (resume and is_run(folder)):
        if resume and preset is None and not folder.exists():
            raise UserError(f"there is no run {folder}; check --out, or start one with --preset")
        return _decide_to_start(folder, preset, changes)
    run, source = read_run(folder), str(folder / CONFIG)
    started = settings_of_run(run.model_fields, run.settings, source)
    settings = resumed(started, preset, changes, str(folder))
    settings, found = with_hellaswag_found(settings, is_asked=True)
    remarks = [*_compared_solutions(run, solution), *found]
    check_found(folder, _logged_steps(folder), started.recipe.checkpoint_every)
    steps = max(written_steps(folder), default=0)
    if not steps:
        remarks.append("starting again at step 1: the run has no checkpoint yet")
        return Decision(settings, False, None, remarks)
    recipe, more = extended(
        started.recipe,
        settings.recipe,
        "schedule_steps" in changes,
        steps,
        solution.learning_rate,
    )
    is_lost = not os.path.lexists(folder / TOKENIZER)  # then the data's hash includes it
    tokenizer = None if is_lost else run.load_tokenizer().to_dict()
    return Decision(replace(settings, recipe=recipe), True, tokenizer, [*remarks, *more])


def _decide_to_start(folder: Path, preset: Settings | None, changes: dict[str, Any]) -> Decision:
    check_free(folder)
    if preset is None:
        raise UserError("give --preset, or --resume and the --out of an existing run")
    settings = changed(preset, changes)
    if settings.data is None:
        raise UserError(
            "give --data: a text file, a folder that `gpt2-small prepare` made, or stories"
        )
    if settings.init_from is None and needs_weights(settings):
        raise UserError(
            "give --init-from: the run, the folder or the name of the model that this preset "
            "fine-tunes"
        )
    _refuse_ignored(settings, changes)
    settings, remarks = with_hellaswag_found(settings, is_asked="choices" in changes)
    return Decision(settings, False, None, remarks)


def _refuse_ignored(settings: Settings, changes: dict[str, Any]) -> None:
    """Raises UserError for a tokenizer or a column that the run would not use."""
    assert settings.data is not None
    has_chats = holds_chats(settings.data)
    owner = settings.data if has_chats or settings.data == "stories" else None
    owner = settings.init_from or owner
    if changes.get("tokenizer") is not None and owner is not None:
        raise UserError(
            f"tokenizer is {changes['tokenizer']}, but {owner} has its own; leave tokenizer out"
        )
    if changes.get("column") is not None and has_chats:
        raise UserError(f"{settings.data} holds conversations, without columns; leave --column out")


def _with_steps(folder: Path, preset: Settings, changes: dict[str, Any]) -> Settings:
    """Convert a preset's epochs, if it has any, to steps."""
    epochs = changes.get("epochs", preset.recipe.epochs)
    if epochs is None:
        return preset
    data = changes.get("data", preset.data)
    if data is None and is_run(folder):
        data = read_run(folder).settings.get("data")
    if data is None or not holds_chats(data):
        raise UserError(
            f"epochs is {epochs}, which is for a folder of conversations, and --data is {data}; "
            "make one with `gpt2-small prepare NAME|FILE --chat --out FOLDER`"
        )
    recipe = replace(
        preset.recipe,
        epochs=epochs,
        batch_size=changes.get("batch_size", preset.recipe.batch_size),
    )
    conversations = len(open_chats(data).train)
    return replace(preset, recipe=in_steps(recipe, conversations, changes.get("max_steps")))


def _compared_solutions(run: Run, solution: ModuleType) -> list[str]:
    """Remarks on a changed solution of a resumed run.

    Raises UserError for another file than the run's.
    """
    before, now = run.settings, binding.training_record(solution)
    if before.get(binding.SHA256_KEY) in (None, now[binding.SHA256_KEY]):
        return []
    if before.get(binding.FILE_KEY, now[binding.FILE_KEY]) == now[binding.FILE_KEY]:
        return ["the solution has changed since this run began; its folder has both texts"]
    if before[binding.FILE_KEY] == binding.REFERENCE:
        return [f"trained with the reference so far, from now on with {binding.describe(solution)}"]
    remark = run.check_solution()
    return [] if remark is None else [remark]


def _logged_steps(folder: Path) -> int:
    """The last step in a run's log, whose last lines may be damaged."""
    try:
        log = read_log(folder)
    except UserError:
        return (folder / LOG).read_bytes().count(b"\n")
    return log[-1]["step"] if log else 0
