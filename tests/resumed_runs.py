"""Create a run with four checkpoints, and one that was killed before the last of them."""

import shutil
from pathlib import Path
from types import ModuleType

from small_runs import train

from gpt2_small.runs.checkpoint_folders import note_checkpoint


def finished_run(solution: ModuleType, folder: Path) -> Path:
    """Create an uninterrupted run, with checkpoints after steps 3, 6, 9 and 12."""
    train(solution, folder / "run", keep=4)
    return folder / "run"


def stopped_run(finished: Path, folder: Path) -> Path:
    """Return a copy in the state of a run killed after step 12, before its checkpoint."""
    run = Path(shutil.copytree(finished, folder / "run"))
    forget_last(run)
    return run


def forget_last(folder: Path) -> None:
    """Remove a run's last checkpoint, of step 12, as if it had not been written."""
    shutil.rmtree(folder / "checkpoints/step-12")
    note_checkpoint(folder, 9)
