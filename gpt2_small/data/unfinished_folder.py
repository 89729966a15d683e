"""Lock, resume and publish an unfinished folder of shards.

The files are first written to a subfolder `unfinished`. At the end they are moved up, and the index
is written last, as the mark of a complete folder.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from gpt2_small.errors import UserError
from gpt2_small.files.atomic import write_atomically
from gpt2_small.files.json_files import read_json
from gpt2_small.files.locks import locked

INDEX = "shards.json"
UNFINISHED = "unfinished"
PROGRESS, LOCK = "progress.json", "lock"
FORMAT = "gpt2-small-unfinished-shards/2"
HASH_LENGTH = 64


class UnfinishedFolder:
    """The subfolder `unfinished` of a folder of shards; the constructor writes nothing.

    progress: the last saved state, empty at the beginning.

    Raises UserError when `folder` has finished shards or other content, or `unfinished` has a link.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / UNFINISHED
        if os.path.exists(folder) and not folder.is_dir():
            raise UserError(f"{folder} is a file; give the name of a folder for the shards")
        if os.path.exists(folder / INDEX):
            remove_leftovers(folder)
            raise UserError(
                f"{folder} has finished shards already, which were not changed; give another folder"
            )
        if os.path.isdir(folder) and not self.path.is_dir() and any(folder.iterdir()):
            raise UserError(f"{folder} is not empty and has no shards; give a new folder")
        self._refuse_links()
        self.progress = self._read()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder's lock, so that no other process prepares it."""
        in_use = f"another process is preparing {self.folder}; wait for it, or give another folder"
        with locked(self.path / LOCK, in_use=in_use):
            self.progress = self._read()
            yield

    def check_settings(self, settings: Mapping[str, Any]) -> None:
        """Raises UserError, with both values, for settings that differ from the first ones."""
        before: dict[str, Any] = self.progress.get("settings", {})
        for name in {**before, **settings} if before else {}:
            if before.get(name) != settings.get(name):
                was, now = (_setting(name, of.get(name)) for of in (before, settings))
                raise UserError(
                    f"{self.folder} was begun with {was}, and this run has {now}; "
                    "give the same again to resume, or another folder"
                )

    def bytes_written(self) -> int:
        """The size of its files."""
        if not os.path.isdir(self.path):
            return 0
        return sum(path.stat().st_size for path in self.path.iterdir())

    def save(self, **progress: Any) -> None:
        """Add values to the saved state."""
        self.progress |= progress
        content = {"format": FORMAT, "sha256": _hash(self.progress), "progress": self.progress}
        write_atomically(self.path / PROGRESS, json.dumps(content) + "\n")

    def publish(self, names: Mapping[str, str], index: Mapping[str, Any]) -> None:
        """Move files up under their final names, then write the index. Idempotent."""
        for name, last_name in names.items():
            if (self.path / name).exists():
                os.replace(self.path / name, self.folder / last_name)
        write_atomically(self.folder / INDEX, json.dumps(index, indent=1) + "\n")
        self.remove()

    def remove(self) -> None:
        """Remove what is no longer needed once the index is written."""
        remove_leftovers(self.folder)

    def _read(self) -> dict[str, Any]:
        path = self.path / PROGRESS
        if not os.path.exists(path):
            return {}
        content = read_json(path, FORMAT)
        progress = content.get("progress")
        if not isinstance(progress, dict) or content.get("sha256") != _hash(progress):
            raise UserError(f"{path} is damaged; remove {self.path} and begin again")
        return progress

    def _refuse_links(self) -> None:
        """Raises UserError for links, through which other files would be overwritten."""
        files = self.path.iterdir() if os.path.isdir(self.path) else ()
        for path in (self.path, *files, self.folder / INDEX):
            if os.path.islink(path):
                raise UserError(f"{path} is a link; remove it, or give another folder")


def remove_leftovers(folder: Path) -> None:
    """Remove the folder `unfinished` of finished shards, which a killed preparation leaves.

    The progress goes last: a folder that holds other things and no progress is not of a preparation
    and stays. So does a link, and what cannot be removed.
    """
    rest = folder / UNFINISHED
    with suppress(OSError):
        if os.path.islink(rest) or (os.listdir(rest) and not (rest / PROGRESS).exists()):
            return
        for path in sorted(rest.iterdir(), key=lambda path: path.name == PROGRESS):
            path.unlink()
        rest.rmdir()


def _hash(progress: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(progress, sort_keys=True).encode()).hexdigest()


def _setting(name: str, value: Any) -> str:
    if value is None:
        return f"no {name}"
    if isinstance(value, dict):
        return f"other {name}"
    shown = str(value)
    return f"{name} {shown[:12]}..." if len(shown) == HASH_LENGTH else f"{name} {shown}"
