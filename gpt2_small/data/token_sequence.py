"""Tokens in several files that are read as one sequence, without loading them."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from gpt2_small.errors import UserError


class TokenSequence:
    """Tokens `[tokens]`, in parts one after the other; a window may reach from one into the next.

    Args:
        parts: `[tokens]` each, of one integer type; may be memory-mapped.
        names: of the parts, for a message.
        vocab_size: ids lie below it.
    """

    def __init__(self, parts: Sequence[np.ndarray], names: Sequence[str], vocab_size: int) -> None:
        self._parts, self._names, self._vocab_size = list(parts), list(names), vocab_size
        self._ends = np.array(list(accumulate(map(len, parts))), dtype=np.int64)
        self._begins = np.concatenate([[0], self._ends[:-1]])
        self.dtype = parts[0].dtype
        self._views: dict[int, list[np.ndarray | None]] = {}

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, where: slice) -> np.ndarray:
        """A copy of some tokens, in the type that they are kept in."""
        start, stop, step = where.indices(len(self))
        found = [
            part[max(start - begin, 0) : max(stop - begin, 0)]
            for part, begin in zip(self._parts, self._begins.tolist(), strict=True)
        ]
        return np.concatenate(found)[::step]

    def beginning(self, tokens: int) -> "TokenSequence":
        """The first tokens alone."""
        lengths = (tokens - self._begins).clip(0)
        parts = [part[:length] for part, length in zip(self._parts, lengths, strict=True)]
        return TokenSequence(parts, self._names, self._vocab_size)

    def windows(self, starts: np.ndarray, length: int) -> np.ndarray:
        """`[windows, length]` int64: the tokens from each start on.

        Raises:
            UserError: an id past the vocabulary, with the name of the part that holds it.
        """
        part = np.searchsorted(self._ends, starts, side="right")
        inside = starts + length <= self._ends[part]
        result = np.empty((len(starts), length), dtype=np.int64)
        for number in np.unique(part[inside]).tolist():
            rows = inside & (part == number)
            result[rows] = self._view(number, length)[starts[rows] - self._begins[number]]
        for row in np.flatnonzero(~inside).tolist():
            result[row] = self[int(starts[row]) : int(starts[row]) + length]
        if result.size and result.max() >= self._vocab_size:
            self._refuse(result, starts)
        return result

    def _view(self, number: int, length: int) -> np.ndarray:
        views = self._views.setdefault(length, [None] * len(self._parts))
        view = views[number]
        if view is None:
            view = views[number] = sliding_window_view(self._parts[number], length)
        return view

    def _refuse(self, windows: np.ndarray, starts: np.ndarray) -> None:
        row, column = np.unravel_index(windows.argmax(), windows.shape)
        place = int(starts[row] + column)
        name = self._names[bisect_right(self._ends.tolist(), place)]
        raise past_vocabulary(name, int(windows.max()), self._vocab_size)


def past_vocabulary(name: str, id: int, vocab_size: int) -> UserError:
    """What to say of a file that holds an id which its tokenizer does not have."""
    return UserError(
        f"{name} holds the id {id}, past the {vocab_size} of its tokenizer; it is damaged or was "
        "made with another tokenizer: give that one, or prepare the text again."
    )
