"""Convert, load, download and export weights."""

from gpt2_small.weights.export import export_hugging_face
from gpt2_small.weights.pretrained import (
    find_pretrained,
    load_hugging_face,
    load_pretrained,
    newest_run,
)

__all__ = [
    "export_hugging_face",
    "find_pretrained",
    "load_hugging_face",
    "load_pretrained",
    "newest_run",
]
