"""Start small runs, and read their files."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from safetensors.torch import load_file

from gpt2_small.runs import read_log, read_run
from gpt2_small.training.distributed import Processes
from gpt2_small.training.recipes.recipe import Recipe
from gpt2_small.training.recipes.settings import Settings
from gpt2_small.training.recorder import train_run
from gpt2_small.training.session import open_run

ALONE = Processes(rank=0, world_size=1, device=torch.device("cpu"))
PLAY = "KING:\nSpeak of the crown.\n\nFOOL:\nThe crown is round, my lord, and so are we.\n\n" * 40
SMALL = Settings(
    model=dict(d_model=16, n_layers=1, n_heads=2, n_ctx=16),
    recipe=Recipe(
        max_steps=12,
        batch_size=4,
        learning_rate=1e-2,
        warmup_steps=4,
        evaluate_every=6,
        evaluation_tokens=64,
        checkpoint_every=3,
        keep=2,
    ),
)


def play(folder: Path) -> Path:
    """Write a text to train on."""
    path = folder / "play.txt"
    path.write_text(PLAY)
    return path


def train(
    solution: ModuleType,
    folder: Path,
    *,
    resume: bool = False,
    last: int | None = None,
    **changes: Any,
) -> tuple[str, ...]:
    """Train the small run in this process, and return the remarks made when it was opened.

    last: the step after which it is asked to stop; None trains to its end.
    """
    if not resume and "data" not in changes:
        changes["data"] = str(play(folder.parent))
    settings = None if resume else SMALL
    with open_run(solution, folder, settings, changes, ALONE, resume=resume) as run:
        made = [run.training.step]
        for record in train_run(run, lambda: last is not None and made[-1] >= last - 1):
            made.append(record.step)
        return run.remarks


def steps_kept(folder: Path) -> list[int]:
    """Return the steps of a run's checkpoints."""
    return [checkpoint.step for checkpoint in read_run(folder).checkpoints]


def state_at(folder: Path, step: int) -> str:
    """Return a hash of a checkpoint's weights and optimiser tensors."""
    digest = hashlib.sha256()
    for name in ("model.safetensors", "optimizer.safetensors"):
        for key, tensor in sorted(load_file(folder / f"checkpoints/step-{step}" / name).items()):
            digest.update(f"{key} {tensor.dtype} {list(tensor.shape)}".encode())
            digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def logged(folder: Path) -> list[dict[str, Any]]:
    """Return a run's log without its times and speeds."""
    return [
        {name: value for name, value in record.items() if name not in ("tokens_per_second", "time")}
        for record in read_log(folder)
    ]


def files_under(folder: Path, but: Iterable[str] = (".lock",)) -> dict[str, bytes]:
    """Return the content of every file, by its path."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in but
    }


def flip(path: Path, place: int, bit: int = 0) -> None:
    """Flip one bit of a file."""
    content = bytearray(path.read_bytes())
    content[place % len(content)] ^= 1 << bit
    path.write_bytes(content)


def flags(settings: Settings = SMALL, **changes: Any) -> list[str]:
    """Return the flags with which `train` creates the small run of a preset."""
    fields = {**settings.model, **vars(settings.recipe), **changes}
    return [
        word
        for name, value in fields.items()
        for word in (
            "--set",
            f"{name}={json.dumps(value).strip(chr(34)) if value is not None else 'none'}",
        )
    ]
