"""Runs on the disk: their folder, their log, their checkpoints, and weights from elsewhere."""

from gpt2_small.runs.export import export_hugging_face
from gpt2_small.runs.folder import (
    Checkpoint,
    Run,
    create_run,
    load_model,
    read_run,
    save_checkpoint,
)
from gpt2_small.runs.log import append_log, read_log, trim_log
from gpt2_small.runs.pretrained import (
    find_pretrained,
    load_hugging_face,
    load_pretrained,
    newest_run,
)

__all__ = [
    "Checkpoint",
    "Run",
    "append_log",
    "create_run",
    "export_hugging_face",
    "find_pretrained",
    "load_hugging_face",
    "load_model",
    "load_pretrained",
    "newest_run",
    "read_log",
    "read_run",
    "save_checkpoint",
    "trim_log",
]
