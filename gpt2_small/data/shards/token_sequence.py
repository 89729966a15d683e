"""Read the tokens of several files as one sequence, without loading them."""

import os
import threading
import weakref
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from io import FileIO
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from gpt2_small.errors import UserError
from gpt2_small.files.hashes import stamp

OPEN_FILES = 64  # at a time; systems allow a process about a thousand


class TokenFile:
    """The tokens of a file `[tokens]`, which is opened on demand.

    It is not memory-mapped, because a mapped file that shrinks would crash the process.

    Args:
        header: bytes before the first token.

    Raises UserError, also later, for a file that has changed since.
    """

    def __init__(self, path: Path, dtype: np.dtype[Any], header: int, tokens: int) -> None:
        self.path, self.dtype = path, dtype
        self._header, self._tokens = header, tokens
        self._stamp = stamp(path)

    def __len__(self) -> int:
        return self._tokens

    def read(self, start: int, stop: int, files: "OpenFiles") -> np.ndarray:
        """Read the tokens from `start` to `stop`."""
        size = self.dtype.itemsize
        data = files.read(self, self._header + start * size, (stop - start) * size)
        if len(data) != (stop - start) * size:
            raise self._changed()
        return np.frombuffer(data, dtype=self.dtype)

    def divided(self, at: int) -> tuple["TokenFile", "TokenFile"]:
        """Divide the tokens at a position."""
        after = self._header + at * self.dtype.itemsize
        return (
            TokenFile(self.path, self.dtype, self._header, at),
            TokenFile(self.path, self.dtype, after, len(self) - at),
        )

    def open(self) -> FileIO:
        """Open the file. Raises UserError if it has changed."""
        try:
            file = self.path.open("rb", buffering=0)
        except OSError as error:
            raise UserError(f"{self.path} can no longer be read ({error.strerror})") from None
        if stamp(file.fileno()) != self._stamp:
            file.close()
            raise self._changed()
        return file

    def _changed(self) -> UserError:
        return UserError(
            f"{self.path} was changed or truncated while it was in use; prepare the text again, or "
            "copy it again from where it was made"
        )


class OpenFiles:
    """The most recently read files; others are closed and reopened on demand."""

    def __init__(self) -> None:
        self._files: OrderedDict[TokenFile, FileIO] = OrderedDict()
        self._lock = threading.Lock()
        # Unlike `__del__`, this also runs before the files of a reference cycle are finalised.
        weakref.finalize(self, _close_all, self._files)

    def read(self, tokens: TokenFile, offset: int, count: int) -> bytes:
        """Read bytes of a file, fewer at its end."""
        with self._lock:
            file = self._files.pop(tokens, None) or tokens.open()
            self._files[tokens] = file
            if len(self._files) > OPEN_FILES:
                self._files.popitem(last=False)[1].close()
            data = b""
            while len(data) < count and (more := _read_at(file, offset + len(data), count)):
                data += more[: count - len(data)]
            return data


def _close_all(files: Mapping[TokenFile, FileIO]) -> None:
    for file in files.values():
        file.close()


def _read_at(file: FileIO, offset: int, count: int) -> bytes:
    if hasattr(os, "pread"):  # forked processes share a file's position
        return os.pread(file.fileno(), count, offset)
    file.seek(offset)
    return file.read(count)


Part = np.ndarray | TokenFile


class TokenSequence:
    """Tokens `[tokens]` of consecutive parts; a window may cross their boundaries.

    Args:
        parts: `[tokens]` each, of one integer type; arrays or files.
        names: of the parts, for messages.
        vocab_size: the number of ids.
    """

    def __init__(self, parts: Sequence[Part], names: Sequence[str], vocab_size: int) -> None:
        self._parts, self._names, self._vocab_size = list(parts), list(names), vocab_size
        self._ends = np.array(list(accumulate(map(len, parts))), dtype=np.int64)
        self._begins = np.concatenate([[0], self._ends[:-1]])
        self.dtype = parts[0].dtype
        self._length = int(self._ends[-1])
        self._files = OpenFiles()

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, where: slice) -> np.ndarray:
        """Read a slice of the tokens, in their stored type."""
        start, stop, step = where.indices(len(self))
        found = [np.empty(0, dtype=self.dtype)]
        part = int(np.searchsorted(self._ends, start, side="right"))
        while start < stop:
            begin, end = int(self._begins[part]), min(stop, int(self._ends[part]))
            found.append(self._read(self._parts[part], start - begin, end - begin))
            start, part = end, part + 1
        return np.concatenate(found)[::step]

    def beginning(self, tokens: int) -> "TokenSequence":
        """The first tokens, as a sequence."""
        shorter = TokenSequence(self._parts, self._names, self._vocab_size)
        shorter._length = min(tokens, len(self))
        return shorter

    def windows(self, starts: np.ndarray, length: int) -> np.ndarray:
        """The windows at these starts, `[windows, length]` int64.

        Raises:
            UserError: an id outside the vocabulary, with the name of its part, or a changed file.
        """
        result = np.empty((len(starts), length), dtype=np.int64)
        for row, start in enumerate(starts.tolist()):
            result[row] = self[start : start + length]
        if result.size and (result.max() >= self._vocab_size or result.min() < 0):
            self._refuse(result, starts)
        return result

    def _read(self, part: Part, start: int, stop: int) -> np.ndarray:
        if isinstance(part, TokenFile):
            return part.read(start, stop, self._files)
        return part[start:stop]

    def _refuse(self, windows: np.ndarray, starts: np.ndarray) -> None:
        place = windows.argmax() if windows.max() >= self._vocab_size else windows.argmin()
        row, column = np.unravel_index(place, windows.shape)
        position = int(starts[row] + column)
        name = self._names[bisect_right(self._ends.tolist(), position)]
        raise outside_vocabulary(name, int(windows[row, column]), self._vocab_size)


def outside_vocabulary(name: str, id: int, vocab_size: int) -> UserError:
    """The error for a file with an id outside its tokenizer's vocabulary."""
    return UserError(
        f"{name} contains the id {id}, outside the {vocab_size} ids of its tokenizer; it is "
        "damaged or was made with another tokenizer: give that one, or prepare the text again"
    )
