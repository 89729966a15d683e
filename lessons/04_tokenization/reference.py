"""Byte-pair encoding: learn merges from a text, encode with them, decode.

Ids 0 to 255 are the bytes; merge number i, counted from 0, makes id 256 + i. Text is first split
into words by GPT-2's pattern, and no merge crosses from one word into the next.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import regex

Pair = tuple[int, int]

# A contraction, or letters, digits or other signs with a space before them, or space (GPT-2,
# section 2.2, and its published encoder).
PATTERN = regex.compile(r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")


def words_of(text: str) -> Counter[tuple[int, ...]]:
    """How often each word of a text occurs, as the ids of its bytes."""
    return Counter(tuple(word.encode()) for word in PATTERN.findall(text))


def count_pairs(words: Counter[tuple[int, ...]]) -> Counter[Pair]:
    """Count neighbouring ids over all words, each word as often as it occurs.

    (Sennrich, Haddow and Birch 2016, "Neural Machine Translation of Rare Words with Subword Units",
    section 3.2.)
    """
    pairs: Counter[Pair] = Counter()
    for word, count in words.items():
        for pair in pairwise(word):
            pairs[pair] += count
    return pairs


def merge(word: Sequence[int], pair: Pair, new_id: int) -> tuple[int, ...]:
    """Replace every occurrence of a pair in a word by one id, from left to right.

    Occurrences do not overlap: merging (1, 1) in 1 1 1 gives new_id 1.
    """
    merged: list[int] = []
    at = 0
    while at < len(word):
        if tuple(word[at : at + 2]) == pair:
            merged.append(new_id)
            at += 2
        else:
            merged.append(word[at])
            at += 1
    return tuple(merged)


def train_bpe(text: str, vocab_size: int) -> list[Pair]:
    """Learn merges until there are vocab_size ids, or no pair is left; in the order of learning.

    Each merge takes the pair that occurs most often in the words of the text as they are by then.
    Among pairs that occur equally often it takes the one with the smallest ids. Implementations
    differ here: `tokenizers` compares ids too, but numbers the bytes in another order, and some
    courses ask for the greatest pair of byte strings.

    Raises ValueError for fewer than 256 ids.
    """
    if vocab_size < 256:
        raise ValueError(f"vocab_size is {vocab_size}; give at least 256, the number of bytes")
    words, merges = words_of(text), list[Pair]()
    while 256 + len(merges) < vocab_size:
        pairs = count_pairs(words)
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        new_id = 256 + len(merges)
        merges.append(best)
        merged: Counter[tuple[int, ...]] = Counter()
        for word, count in words.items():
            merged[merge(word, best, new_id)] += count
        words = merged
    return merges


def encode(text: str, merges: Sequence[Pair]) -> list[int]:
    """The ids of a text: in every word, merges are applied in the order in which they were learned.

    The text is split into words as for training, so that `decode` gives it back.
    """
    rank = {pair: number for number, pair in enumerate(merges)}
    ids: list[int] = []
    for match in PATTERN.findall(text):
        word = tuple(match.encode())
        while len(word) > 1:
            first = min(pairwise(word), key=lambda pair: rank.get(pair, len(rank)))
            if first not in rank:
                break
            word = merge(word, first, 256 + rank[first])
        ids.extend(word)
    return ids


def decode(ids: Sequence[int], merges: Sequence[Pair]) -> str:
    """The text of ids; bytes that are not UTF-8 become U+FFFD.

    Raises ValueError for an id that does not exist.
    """
    table = {byte: bytes([byte]) for byte in range(256)}
    for number, (left, right) in enumerate(merges):
        table[256 + number] = table[left] + table[right]
    for id in ids:
        if id not in table:
            raise ValueError(f"there is no id {id}; ids run from 0 to {len(table) - 1}")
    return b"".join(table[id] for id in ids).decode("utf-8", errors="replace")
