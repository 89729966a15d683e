"""A run's folder and its training, opened together: new, or where it stopped."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from filelock import FileLock, Timeout

from gpt2_small import binding
from gpt2_small.errors import UserError
from gpt2_small.generation.loaded_model import open_model
from gpt2_small.model.building import config_from_fields
from gpt2_small.runs.folder import CONFIG, check_free, create_run, is_run, read_run, write_config
from gpt2_small.runs.log import trim_log
from gpt2_small.tokenizers.protocol import Tokenizer
from gpt2_small.tokenizers.registry import save_tokenizer
from gpt2_small.training.allocator import keep_freed_memory, return_freed_memory
from gpt2_small.training.checkpoints import last_whole_checkpoint, sweep
from gpt2_small.training.distributed import Processes
from gpt2_small.training.loop import Training
from gpt2_small.training.rank_agreement import any_restarted, check_alike, check_main_keeps
from gpt2_small.training.settings import (
    Settings,
    changed,
    check_same_run,
    from_bytes,
    settings_of_run,
    to_bytes,
)
from gpt2_small.training.state import reseed, restore
from gpt2_small.training.training_data import (
    StoriesData,
    TextData,
    fingerprint,
    is_same_data,
    open_data,
)

LOCK = ".lock"
DATA_HASH = "data_sha256"
SOLUTION_HASH = "solution_sha256"


@dataclass(frozen=True)
class OpenRun:
    """A run that can be trained.

    remarks: what is worth saying about how it was opened.
    """

    folder: Path
    settings: Settings
    data: StoriesData | TextData
    training: Training
    remarks: tuple[str, ...]


@contextmanager
def open_run(
    solution: ModuleType,
    folder: Path,
    preset: Settings | None,
    changes: dict[str, Any],
    processes: Processes,
    *,
    resume: bool = False,
) -> Iterator[OpenRun]:
    """A run in its folder, which no other process may use meanwhile. All processes take part.

    preset, changes: what the run is; a run that goes on needs neither.
    resume: go on where the run in the folder stopped, or begin when there is none. So does a
        process that torchrun has started again.

    Raises UserError when the folder, the data, the model or the settings cannot be used.
    """
    resume = any_restarted(processes) or resume
    if resume:
        check_main_keeps(processes, folder)
    found = processes.on_main(lambda: _settle(folder, preset, changes, resume))
    goes_on, settings = found[:1] == b"1", from_bytes(found[1:])
    if processes.device.type == "cpu":
        (return_freed_memory if settings.recipe.recompute else keep_freed_memory)()
    training, data = processes.together(lambda: _build(solution, settings, processes))
    hashes = processes.together(lambda: _hashes(solution, data))
    names = (str(settings.data), "the solution")
    check_alike(processes, dict(zip(names, hashes.values(), strict=True)))
    with _locked(folder, processes):
        remarks = getattr(data, "remarks", ())
        remarks += _begin_or_go_on(folder, settings, hashes, training, data, goes_on)
        yield OpenRun(folder, settings, data, training, remarks)


@contextmanager
def _locked(folder: Path, processes: Processes) -> Iterator[None]:
    lock = FileLock(folder / LOCK, timeout=0)

    def acquire() -> bytes:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout:
            raise UserError(
                f"{folder} is in use by another process; wait for it, or give another folder"
            ) from None
        except OSError as error:
            reason = error.strerror or error
            raise UserError(f"cannot write {folder} ({reason}); give another folder") from error
        return b""

    processes.on_main(acquire)
    try:
        yield
    finally:
        lock.release()


def _settle(folder: Path, preset: Settings | None, changes: dict[str, Any], resume: bool) -> bytes:
    """Whether the run in the folder goes on, as one byte, and with which settings."""
    if not (resume and is_run(folder)):
        check_free(folder)
        if preset is None:
            raise UserError("give --preset, or with --resume the --out of a run that began")
        settings = changed(preset, changes)
        if settings.data is None:
            raise UserError(
                "give --data: a text file, a folder that `gpt2-small prepare` made, or stories"
            )
        return b"0" + to_bytes(settings)
    run = read_run(folder)
    started = settings_of_run(run.model_fields, run.settings, str(folder / CONFIG))
    base = replace(started, model={}) if preset is None else preset
    wanted = changed(base, changes)
    wanted = replace(
        wanted,
        data=wanted.data or started.data,
        tokenizer=wanted.tokenizer or started.tokenizer,
    )
    # Where the data lies may change; what it is may not, as its fingerprint shows.
    check_same_run(replace(started, data=wanted.data), wanted, str(folder))
    return b"1" + to_bytes(replace(wanted, model=run.model_fields))


def _build(
    solution: ModuleType, settings: Settings, processes: Processes
) -> tuple[Training, StoriesData | TextData]:
    recipe = settings.recipe
    fields = dict(settings.model)
    tokenizer: str | Tokenizer | None = settings.tokenizer
    source = None
    if settings.init_from is not None:
        source = open_model(settings.init_from, device=processes.device)
        tokenizer = source.tokenizer
        fields = _shape_of(source.model.config, fields, settings.init_from)
    n_ctx = config_from_fields(fields, "the model").n_ctx
    assert settings.data is not None
    data = open_data(settings.data, tokenizer, n_ctx, held_out_tokens=recipe.evaluation_tokens)
    if source is not None and data.tokenizer.to_dict() != source.tokenizer.to_dict():
        raise UserError(
            f"{settings.data} has the tokenizer {data.tokenizer.name!r}, but {settings.init_from} "
            f"was trained with {source.tokenizer.name!r}; prepare the text with that one"
        )
    fields.setdefault("d_vocab", data.tokenizer.vocab_size)
    torch.manual_seed(recipe.seed)
    config = config_from_fields(fields, "the model")
    model = solution.Transformer(config).to(processes.device)
    if source is not None:
        model.load_state_dict(source.model.state_dict())
    else:
        with torch.no_grad():
            model.embed.W_E.mul_(recipe.embedding_scale)
    return Training(solution, model, data, recipe, processes), data


def _hashes(solution: ModuleType, data: StoriesData | TextData) -> dict[str, str]:
    """What is trained on and with, as a run's config.json knows it."""
    return {DATA_HASH: fingerprint(data), SOLUTION_HASH: binding.sha256(solution)}


def _shape_of(config: Any, given: dict[str, Any], init_from: str) -> dict[str, Any]:
    """The fields of a model whose weights are taken, its dropout as given."""
    fields = asdict(config)
    for name, value in given.items():
        if name != "dropout" and fields.get(name) != value:
            raise UserError(
                f"{name} is {value}, but the weights of {init_from} have {fields.get(name)}; "
                f"leave {name} out"
            )
    return {**fields, **given}


def _begin_or_go_on(
    folder: Path,
    settings: Settings,
    hashes: dict[str, str],
    training: Training,
    data: StoriesData | TextData,
    goes_on: bool,
) -> tuple[str, ...]:
    """Make the folder, or bring the training to the run's last whole checkpoint."""
    processes = training.processes
    checkpoint = None

    def on_disk() -> bytes:
        nonlocal checkpoint
        run = {**settings.as_json(), **hashes}
        model_fields = asdict(training.config)
        sweep(folder)
        if not goes_on:
            create_run(folder, model_fields=model_fields, tokenizer=data.tokenizer, run=run)
            return json.dumps([]).encode()
        before = read_run(folder).settings
        if not is_same_data(before.get(DATA_HASH), data):
            raise UserError(
                f"{settings.data} is not the data that {folder} was started with (its SHA-256 is "
                "another); give that with --data"
            )
        checkpoint, remarks = last_whole_checkpoint(folder)
        if checkpoint and checkpoint.step > settings.recipe.max_steps:
            raise UserError(
                f"--max-steps is {settings.recipe.max_steps}, but the run in {folder} is at step "
                f"{checkpoint.step} already; give at least that"
            )
        if before.get(SOLUTION_HASH) != run[SOLUTION_HASH]:
            remarks.append("the solution has changed since this run began")
        write_config(folder, model_fields, data.tokenizer.name, run)
        save_tokenizer(data.tokenizer, folder)
        trim_log(folder, checkpoint.step if checkpoint else 0)
        at = f"step {checkpoint.step:,}" if checkpoint else "its beginning: no checkpoint yet"
        return json.dumps([*remarks, f"going on from {at}", bool(checkpoint)]).encode()

    *remarks, has_checkpoint = json.loads(processes.on_main(on_disk)) or [False]
    if has_checkpoint:
        restore(training, checkpoint)
    elif processes.rank > 0:
        reseed(training.recipe.seed, 0, processes.rank)
    return tuple(remarks)
