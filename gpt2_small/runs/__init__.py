"""Create and read the folder of a run: its config, log and checkpoints."""

from gpt2_small.runs.checkpoint_folders import Checkpoint, save_checkpoint
from gpt2_small.runs.folder import Run, create_run, load_model, read_run
from gpt2_small.runs.log import append_log, read_log, trim_log

__all__ = [
    "Checkpoint",
    "Run",
    "append_log",
    "create_run",
    "load_model",
    "read_log",
    "read_run",
    "save_checkpoint",
    "trim_log",
]
