"""Split text into GPT-2's pre-tokens, and cut long texts where that changes no token."""

import re
from collections.abc import Iterable, Iterator

# Radford et al. 2019 (openai/gpt-2, src/encoder.py), with possessive quantifiers: the same pieces,
# found without backtracking.
PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"

# Unicode's White_Space, which is what \s means in PATTERN. Python's own \s has four more.
_SPACE = "\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"

# A piece ends where whitespace begins, and before the last whitespace character of a run that a
# word follows. Cut there, both sides fall into the same pieces as the whole.
_SAFE_CUT = re.compile(f"[^{_SPACE}](?=[{_SPACE}])|[{_SPACE}](?=[{_SPACE}][^{_SPACE}])")


def chunks(text: str, characters: int) -> Iterator[str]:
    """`text` in pieces of about that many characters that encode to what the whole encodes to.

    A piece is longer where no safe place to cut comes. No piece holds a run of more than
    `characters` whitespace characters before a word, on which engines run out of stack.
    """
    start = 0
    while cut := _SAFE_CUT.search(text, start + characters):
        yield text[start : cut.end()]
        start = cut.end()
    if start < len(text):
        yield text[start:]


def chunks_of_blocks(
    blocks: Iterable[str], characters: int, *, longest: int | None = None
) -> Iterator[str]:
    """The `chunks` of the joined blocks, which are never held all at once.

    longest: characters after which a stretch without a safe place to cut is cut all the same, so
        that the two sides may not encode to what the whole does; never when None.
    """
    text, searched = "", 0
    for block in blocks:
        text += block
        start = 0
        while cut := _SAFE_CUT.search(text, max(start + characters, searched)):
            yield text[start : cut.end()]
            start, searched = cut.end(), 0
        while longest is not None and len(text) - start >= longest:
            yield text[start : start + longest]
            start += longest
        text = text[start:]
        searched = len(text) - 2  # a cut further on is seen by the two characters after it
    if text:
        yield text
