"""Read and write a run's config.json, with a hash of its content."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from gpt2_small import binding
from gpt2_small.errors import UserError, did_you_mean
from gpt2_small.files.atomic import write_atomically
from gpt2_small.files.json_files import read_json
from gpt2_small.model.building import config_from_fields
from gpt2_small.runs.stored_solution import SOLUTION

FORMAT = "gpt2-small-run/1"
CONFIG = "config.json"
HASH = "sha256"
# Keys that runs of the first version lack.
ADDED = ("id", "environment", HASH)


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """The content of config.json.

    model: every field of the TransformerConfig.
    tokenizer: its name.
    run: the settings that the run was started with, as JSON values.
    id: a random identifier; runs of the first version have none.
    environment: the versions and hardware that determine its rounding.
    """

    model: Mapping[str, Any]
    tokenizer: str
    run: Mapping[str, Any]
    id: str | None = None
    environment: Mapping[str, Any] = field(default_factory=dict)


def write_config(folder: Path, config: RunConfig) -> None:
    """Write a run's config.json. Raises UserError when it cannot be written."""
    content = {
        "format": FORMAT,
        "id": config.id,
        "model": dict(config.model),
        "tokenizer": config.tokenizer,
        "run": dict(config.run),
        "environment": dict(config.environment),
    }
    content[HASH] = content_hash(content)
    write_atomically(folder / CONFIG, json.dumps(content, indent=1) + "\n")


def read_config(folder: Path) -> RunConfig:
    """Read a run's config.json.

    Raises UserError for a file that is missing, damaged or of another format, and for an unknown or
    missing key, by name.
    """
    path = folder / CONFIG
    content = read_json(path, FORMAT)
    check_keys(content, ["format", *(each.name for each in fields(RunConfig)), HASH], ADDED, path)
    for name, kind in (("model", dict), ("tokenizer", str), ("run", dict)):
        if not isinstance(content[name], kind):
            raise UserError(f"{path} is damaged, its {name!r} is of a wrong type; copy it again")
    is_intact = HASH not in content or content.pop(HASH) == content_hash(content)
    names = [each.name for each in fields(binding.config_class())]
    if is_intact and set(names) != set(content["model"]):
        binding.check_trained_with(content["run"], folder, folder / SOLUTION)
    check_keys(content["model"], names, (), path)
    if not is_intact:
        raise UserError(
            f"{path} was changed after it was written (its SHA-256 differs); copy it again, or "
            f'remove its line "{HASH}" if you edited it'
        )
    config_from_fields(content["model"], str(path))
    return RunConfig(
        model=content["model"],
        tokenizer=content["tokenizer"],
        run=content["run"],
        id=content.get("id"),
        environment=content.get("environment") or {},
    )


def content_hash(content: Mapping[str, Any]) -> str:
    """SHA-256 of JSON values, independent of the order of keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def check_keys(
    content: Mapping[str, Any], known: Iterable[str], optional: Iterable[str], path: Path
) -> None:
    """Raises UserError for an unknown key, with the nearest, and for a missing one, by name."""
    known = list(known)
    for name in content:
        if name not in known:
            way_out = did_you_mean(name, known, otherwise="copy it again")
            raise UserError(f"{path} has the unknown field {name!r}; {way_out}")
    missing = [name for name in known if name not in content and name not in optional]
    if missing:
        raise UserError(f"{path} is damaged, its {missing[0]!r} is missing; copy it again")
