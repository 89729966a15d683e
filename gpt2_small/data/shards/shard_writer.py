"""Write shards: append tokens, save the state, and resume from it."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from gpt2_small.errors import UserError
from gpt2_small.files.hashes import sha256

NPY_HEADER_BYTES = 128


class SplitWriter:
    """Writes the shards of one split in sequence.

    Args:
        folder: of the files, named `train_000000.bin` and so on.
        split: `train` or `val`.
        kind: `bin` for tokens without header, `npy` for numpy's format.
        dtype: of a token, little-endian.
        shard_tokens: tokens in every shard but the last; None for a single shard.
        state: of `save`, to resume from; tokens written after it are removed.

    Raises:
        UserError: saved tokens are missing.
    """

    def __init__(
        self,
        folder: Path,
        split: str,
        *,
        kind: str,
        dtype: np.dtype[Any],
        shard_tokens: int | None,
        state: dict[str, Any] | None = None,
    ) -> None:
        self._folder, self._split, self._kind = folder, split, kind
        self._dtype, self._shard_tokens = dtype, shard_tokens
        self._header = NPY_HEADER_BYTES if kind == "npy" else 0
        self._whole: list[dict[str, Any]] = state["whole"] if state else []
        self._tokens: int = state["tokens"] if state else 0
        self._file: BinaryIO | None = None
        self._remove_unsaved()

    @property
    def tokens(self) -> int:
        """The number of tokens appended so far."""
        return self._tokens + sum(int(shard["tokens"]) for shard in self._whole)

    def append(self, ids: np.ndarray) -> None:
        """Append tokens; full shards are closed."""
        while len(ids):
            room = len(ids) if self._shard_tokens is None else self._shard_tokens - self._tokens
            file = self._open()
            with _as_user_error(self._path):
                file.write(ids[:room].astype(self._dtype).tobytes())
            self._tokens += min(room, len(ids))
            ids = ids[room:]
            if self._tokens == self._shard_tokens:
                self.close()

    def save(self) -> dict[str, Any]:
        """Flush everything to the disk, and return the state to resume from."""
        if self._file is not None:
            with _as_user_error(self._path):
                self._file.flush()
                os.fsync(self._file.fileno())
        return {"whole": list(self._whole), "tokens": self._tokens}

    def close(self) -> None:
        """Finish the open shard, if there is one, and compute its hash."""
        if self._tokens == 0:
            return
        file = self._open()
        with _as_user_error(self._path):
            if self._header:
                file.seek(0)
                file.write(npy_header(self._dtype, self._tokens))
            file.flush()
            os.fsync(file.fileno())
            file.close()
        self._whole.append(
            {
                "file": self._path.name,
                "tokens": self._tokens,
                "bytes": self._path.stat().st_size,
                "sha256": sha256(self._path),
            }
        )
        self._file, self._tokens = None, 0

    def leave(self) -> None:
        """Close the open file without finishing its shard."""
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
            self._file = None

    def shards(self) -> list[dict[str, Any]]:
        """File, tokens, bytes and hash of every finished shard."""
        return list(self._whole)

    @property
    def _path(self) -> Path:
        return self._folder / f"{self._split}_{len(self._whole):06d}.{self._kind}"

    def _open(self) -> BinaryIO:
        if self._file is None:
            with _as_user_error(self._path):
                self._file = self._path.open("r+b" if self._tokens else "wb")
                self._file.seek(self._header + self._tokens * self._dtype.itemsize)
        return self._file

    def _remove_unsaved(self) -> None:
        saved = {shard["file"] for shard in self._whole}
        if self._tokens:
            saved.add(self._path.name)
        for path in self._folder.glob(f"{self._split}_*.{self._kind}"):
            if path.name not in saved:
                path.unlink()
        for shard in self._whole:
            _check_size(self._folder / shard["file"], shard["bytes"])
        if self._tokens:
            length = self._header + self._tokens * self._dtype.itemsize
            _check_size(self._path, length)
            with _as_user_error(self._path):
                os.truncate(self._path, length)


@contextmanager
def _as_user_error(path: Path) -> Iterator[None]:
    """In this context, turn disk errors into a UserError."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot write {path} ({error.strerror}); fix that and repeat the same command to "
            "resume"
        ) from error


def _check_size(path: Path, least: int) -> None:
    size = path.stat().st_size if path.is_file() else 0
    if size < least:
        raise UserError(
            f"{path} should have at least {least:,} bytes and has {size:,}, so the preparation "
            f"cannot resume; remove {path.parent} and begin again"
        )


def npy_header(dtype: np.dtype[Any], tokens: int) -> bytes:
    """The header of a `.npy` file, as written by `numpy.save`."""
    header = io.BytesIO()
    fields = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False}
    np.lib.format.write_array_header_1_0(header, {**fields, "shape": (tokens,)})
    assert len(header.getvalue()) == NPY_HEADER_BYTES
    return header.getvalue()
