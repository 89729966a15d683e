"""A preparation on its way: one process at a time, with settings that stay, from where it stopped.

The folder that it makes holds a folder `unfinished` meanwhile. At the end its files move up, and
the index, which tells that all is there, comes last.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gpt2_small.errors import UserError
from gpt2_small.files import read_json, write_atomically

INDEX = "shards.json"
UNFINISHED = "unfinished"
PROGRESS = "progress.json"
FORMAT = "gpt2-small-unfinished-shards/1"
HASH_LENGTH = 64


class Unfinished:
    """The folder `unfinished` of the shards that are made in `folder`; nothing is written yet.

    progress: what was saved last, empty at the beginning.

    Raises UserError when `folder` holds finished shards or other things.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / UNFINISHED
        if folder.exists() and not folder.is_dir():
            raise UserError(f"{folder} is a file; give the name of a folder for the shards.")
        if (folder / INDEX).exists():
            raise UserError(
                f"{folder} holds finished shards already, and they are left as they are; "
                "give another folder."
            )
        if folder.is_dir() and not self.path.is_dir() and any(folder.iterdir()):
            raise UserError(f"{folder} is not empty and holds no shards; give a new folder.")
        self.progress = self._read()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """While it lasts no other process prepares the same folder."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            file = (self.path / "lock").open("w")
        except OSError as error:
            raise UserError(
                f"cannot write {self.path} ({error.strerror}); give another folder."
            ) from None
        with file:
            if not _lock(file.fileno()):
                raise UserError(f"another process is preparing {self.folder} just now.")
            self.progress = self._read()
            yield

    def check_settings(self, settings: Mapping[str, Any]) -> None:
        """Refuse settings that differ from those it was begun with, with both values."""
        before: dict[str, Any] = self.progress.get("settings", {})
        for name in {**before, **settings} if before else {}:
            if before.get(name) != settings.get(name):
                raise UserError(
                    f"{self.folder} was begun with {_said(name, before.get(name))}, and now it is "
                    f"{_said(name, settings.get(name))}; give the same again to go on, "
                    "or another folder."
                )

    def bytes_written(self) -> int:
        """How much space its files take already."""
        return sum(path.stat().st_size for path in self.path.glob("*"))

    def save(self, **progress: Any) -> None:
        """Keep what is needed to go on from here, beside what was kept before."""
        self.progress |= progress
        write_atomically(
            self.path / PROGRESS, json.dumps({"format": FORMAT, **self.progress}) + "\n"
        )

    def publish(self, names: Mapping[str, str], index: Mapping[str, Any]) -> None:
        """Move files up under their last names, then write the index. May be done over again."""
        for name, last_name in names.items():
            if (self.path / name).exists():
                os.replace(self.path / name, self.folder / last_name)
        write_atomically(self.folder / INDEX, json.dumps(index, indent=1) + "\n")
        shutil.rmtree(self.path, ignore_errors=True)

    def _read(self) -> dict[str, Any]:
        path = self.path / PROGRESS
        return read_json(path, FORMAT) if path.exists() else {}


def _lock(handle: int) -> bool:
    try:
        import fcntl
    except ImportError:  # on Windows
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _said(name: str, value: Any) -> str:
    if value is None:
        return f"no {name}"
    if isinstance(value, dict):
        return f"other {name}"
    shown = str(value)
    return f"{name} {shown[:12]}..." if len(shown) == HASH_LENGTH else f"{name} {shown}"
