"""Load trained weights from a run, a Hugging Face folder or the Hub."""

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gpt2_small.errors import UserError, nearest
from gpt2_small.files.hashes import has_manifest, verified
from gpt2_small.files.json_files import read_json_object
from gpt2_small.model.building import build_model, config_from_fields, fill, read_safetensors
from gpt2_small.runs.checkpoint_folders import WEIGHTS, find_checkpoints
from gpt2_small.runs.folder import CONFIG, is_run, load_model
from gpt2_small.weights.hub_models import HUB_NAMES, INDEX, fetch, is_hub_name
from gpt2_small.weights.hugging_face_config import fields_from_config
from gpt2_small.weights.hugging_face_tensors import from_hugging_face
from gpt2_small.weights.load_errors import (
    dangling,
    explain_file,
    explain_folder,
    explain_missing_weights,
)

if TYPE_CHECKING:
    from gpt2_small import Transformer


def load_pretrained(
    name_or_folder: str | Path,
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
) -> "Transformer":
    """Load the bound solution's Transformer with trained weights, in eval mode.

    name_or_folder: the folder of a run (its latest checkpoint); a Hugging Face folder of a GPT-2
        with safetensors weights; `gpt2`, `gpt2-medium`, `gpt2-large`, `gpt2-xl` or `distilgpt2`; or
        `OWNER/NAME` or `OWNER/NAME@REVISION` on the Hub. Downloads are cached.
    dtype: of the parameters; left out, float32.

    Raises UserError, with the reason and the way out, for anything else.
    """
    folder = find_pretrained(name_or_folder)
    if is_run(folder):
        return load_model(folder, device=device, dtype=dtype)
    return load_hugging_face(folder, device=device, dtype=dtype)


def find_pretrained(name_or_folder: str | Path, *, with_tokenizer: bool = False) -> Path:
    """Find the folder of a model, and download it from the Hub if necessary.

    with_tokenizer: as in `hub_models.fetch`.

    Raises UserError for an unknown name, and for a file.
    """
    name, path = str(name_or_folder), Path(name_or_folder).expanduser()
    if path.is_dir():
        return path
    if path.is_file():
        raise UserError(explain_file(path))
    if path.is_symlink():
        raise UserError(f"{name} {dangling(path)}; give the folder of a run or of a GPT-2")
    if is_hub_name(name) and not (_looks_like_path(path) and name not in HUB_NAMES):
        return fetch(name, with_tokenizer=with_tokenizer)
    raise UserError(
        missing(path, HUB_NAMES)
        or f"there is no folder {name}; give the folder of a run or of a Hugging Face GPT-2, "
        f"one of {', '.join(HUB_NAMES)}, or OWNER/NAME on the Hub"
    )


def missing(path: Path, names: Collection[str] = ()) -> str | None:
    """The message for a missing folder, with the most similar folder or name; None without one."""
    try:
        folders = [place.name for place in path.parent.iterdir() if place.is_dir()]
    except OSError:  # missing or unreadable
        folders = []
    near = nearest(path.name, [*folders, *names])
    if near is None:
        return None
    found = near if near in names else path.with_name(near)
    return f"there is no folder {path}; did you mean {found}?"


def newest_run(folder: Path) -> Path | None:
    """The run in a folder of runs with the newest checkpoint; None without any."""
    written = [
        (checkpoints[-1].folder.stat().st_mtime, run)
        for run in folder.glob("*")
        if is_run(run) and (checkpoints := find_checkpoints(run))
    ]
    return max(written)[1] if written else None


def _looks_like_path(path: Path) -> bool:
    """Whether OWNER/NAME is more likely a missing folder in an existing one."""
    return path.parts[0] in (".", "..", "~") or (len(path.parts) > 1 and path.parent.is_dir())


def load_hugging_face(
    folder: str | Path,
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
) -> "Transformer":
    """Load the bound solution's Transformer with a Hugging Face folder's weights, in eval mode.

    Files that this program exported are checked against their hashes.

    Raises UserError for a folder that holds no GPT-2, or one that is damaged.
    """
    folder = Path(folder)
    if not (folder / CONFIG).is_file():
        raise UserError(
            explain_folder(folder)
            or f"{folder} has no {CONFIG}; give the folder of a run or of a Hugging Face GPT-2"
        )
    config = read_json_object(_checked(folder, CONFIG))
    if "model_type" not in config:
        raise UserError(
            f"{folder / CONFIG} has no model_type, so it is neither a run's nor Hugging Face's"
        )
    state = read_weights(folder)
    source = str(folder / CONFIG)
    fields = fields_from_config(config, state, source)
    parameters = from_hugging_face(state, config_from_fields(fields, source), str(folder))
    model = build_model(fields, source=source, device=device, dtype=dtype)
    fill(model, parameters, source=str(folder))
    return model


def read_weights(folder: Path) -> dict[str, Tensor]:
    """Read the tensors of a Hugging Face folder, from one safetensors file or several.

    Raises UserError for missing or damaged files, and for pickles.
    """
    if (folder / WEIGHTS).exists():
        return read_safetensors(_checked(folder, WEIGHTS))
    if (folder / INDEX).exists():
        return _read_shards(folder, read_json_object(_checked(folder, INDEX)))
    raise UserError(explain_missing_weights(folder))


def _read_shards(folder: Path, index: Mapping[str, Any]) -> dict[str, Tensor]:
    weight_map = index.get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise UserError(f"{folder / INDEX} is damaged, it has no weight_map; copy it again")
    state: dict[str, Tensor] = {}
    for file in sorted(set(map(str, weight_map.values()))):
        if re.search(r"[/\\]", file) or not file.endswith(".safetensors"):
            raise UserError(
                f"{folder / INDEX} names {file}, which is not a safetensors file beside it"
            )
        shard = read_safetensors(_checked(folder, file))
        listed = [name for name, its_file in weight_map.items() if its_file == file]
        missing = [name for name in listed if name not in shard]
        if missing:
            raise UserError(
                f"{folder / file} lacks {', '.join(missing[:8])}, which {INDEX} lists; "
                "copy both again"
            )
        state |= {name: shard[name] for name in listed}
    return state


def _checked(folder: Path, name: str) -> Path:
    return verified(folder, name) if has_manifest(folder) else folder / name
