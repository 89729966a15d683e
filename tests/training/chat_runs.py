"""Train small runs on conversations."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from small_runs import ALONE, SMALL

from gpt2_small import binding
from gpt2_small.training.recipes.settings import Settings
from gpt2_small.training.run_loop import train_run
from gpt2_small.training.session import open_run

SOLUTION = binding.bound()
CHAT = Settings(
    model={},
    recipe=replace(
        SMALL.recipe, max_steps=8, evaluate_every=4, checkpoint_every=4, evaluation_tokens=None
    ),
)


def chat_run(
    place: Path,
    folder: Path,
    preset: Settings | None = CHAT,
    *,
    resume: bool = False,
    **changes: Any,
) -> Any:
    """Train from the base on the conversations, and return the opened run."""
    given = {} if resume else {"data": str(place / "chats"), "init_from": str(place / "base")}
    with open_run(SOLUTION, folder, preset, given | changes, ALONE, resume=resume) as run:
        for _ in train_run(run):
            pass
        return run
