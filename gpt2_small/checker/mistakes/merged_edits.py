"""Merge edits that change different words of the same text."""

import difflib
import itertools
import re
from collections.abc import Iterable
from functools import lru_cache

# Words, white space, and single signs.
_WORDS = re.compile(r"\w+|\s+|[^\w\s]")
# Equal words in the middle of an edit that count as unchanged; fewer are equal by chance.
_FEWEST_EQUAL = 3

# Start and end in the text, and the replacement.
Change = tuple[int, int, str]


def merged(text: str, edits: Iterable[tuple[str, str]]) -> str | None:
    """The text with all edits made in it; None if two change the same words.

    edits: (old, new), each old once in the text.
    """
    changes = sorted(
        (text.index(old) + start, text.index(old) + end, words)
        for old, new in edits
        for start, end, words in _changes(old, new)
    )
    for (start, end, _), (next_start, _, _) in itertools.pairwise(changes):
        if next_start < end or next_start == start:
            return None
    for start, end, words in reversed(changes):
        text = text[:start] + words + text[end:]
    return text


@lru_cache(maxsize=2048)
def _changes(old: str, new: str) -> tuple[Change, ...]:
    """The words of an edit that differ."""
    before, after = _WORDS.findall(old), _WORDS.findall(new)
    places = list(itertools.accumulate(map(len, before), initial=0))
    blocks = difflib.SequenceMatcher(None, before, after, autojunk=False).get_matching_blocks()
    changes, i, j = [], 0, 0
    for block in blocks:
        is_first = block.a == block.b == 0
        is_last = block.a + block.size == len(before) and block.b + block.size == len(after)
        if not (is_first or is_last or block.size >= _FEWEST_EQUAL):
            continue
        if block.a > i or block.b > j:
            changes.append((places[i], places[block.a], "".join(after[j : block.b])))
        i, j = block.a + block.size, block.b + block.size
    return tuple(changes)
