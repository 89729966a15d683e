"""Save Hugging Face folders of small GPT-2s, and change their tensors and config."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from small_gpt2s import hugging_face_gpt2
from torch import Tensor
from transformers import PreTrainedModel


def saved(folder: Path, model: PreTrainedModel | None = None, **how: Any) -> Path:
    """Save a model of transformers in the folder, and return it."""
    (model or hugging_face_gpt2()).save_pretrained(folder, **how)
    return folder


def change_tensors(folder: Path, change: Callable[[dict[str, Tensor]], object]) -> None:
    """Change the tensors of a folder with a function of the dictionary."""
    path = folder / "model.safetensors"
    tensors = {name: tensor.clone() for name, tensor in load_file(path).items()}
    change(tensors)
    save_file(tensors, path, metadata={"format": "pt"})


def change_config(folder: Path, **changes: Any) -> None:
    """Change or add fields of a folder's config.json."""
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
