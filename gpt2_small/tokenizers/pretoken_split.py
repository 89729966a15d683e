"""Split long texts at boundaries of GPT-2's pre-tokens, which changes no token."""

import re
from collections.abc import Iterable, Iterator

# Radford et al. 2019 (openai/gpt-2, src/encoder.py), with possessive quantifiers: the same matches
# without backtracking.
PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"

# Unicode's White_Space, the meaning of \s in PATTERN. Python's \s has four more characters.
_SPACE = "\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"

# A pre-token ends before whitespace, and before the last whitespace character ahead of a word.
# Splitting there does not change the pre-tokens.
_SAFE_CUT = re.compile(f"[^{_SPACE}](?=[{_SPACE}])|[{_SPACE}](?=[{_SPACE}][^{_SPACE}])")


def chunks(text: str, characters: int) -> Iterator[str]:
    """Split `text` into chunks of about so many characters, without changing its tokens.

    A chunk is longer if there is no safe boundary. No chunk has more than `characters` whitespace
    characters before a word, which would overflow the stack of encoders.
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
    """The `chunks` of the joined blocks, read one block at a time.

    longest: the length in characters at which a chunk without a safe boundary is split anyway,
        which may change its tokens; None never splits it.
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
        searched = len(text) - 2  # a boundary depends on the two characters after it
    if text:
        yield text
