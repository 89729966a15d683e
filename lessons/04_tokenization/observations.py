"""Observe the functions of the tokenization lesson, and compute expected results independently."""

from collections import Counter
from functools import partial
from types import ModuleType

import torch
from torch import Tensor

from gpt2_small.checker.claims.judging.failure import Failure
from gpt2_small.checker.claims.observing.observation import Observation
from gpt2_small.checker.claims.observing.refusals import ending

TEXT = (
    "low low low low low lower lower newest newest newest newest newest newest widest widest "
    "widest. It's 2026, and we'll see: the newest of the lower ones isn't the widest one.\n\n"
    "  Two spaces, a tab\t, 12345 and 678; naïve café, 東京 and 🙂🙂.   "
)

VOCAB_SIZE = 300

WORDS = Counter({(1, 2, 1, 2, 3): 3, (2, 3): 5, (1, 1, 1): 2, (4,): 9})


def pairs_as_tensor(pairs: object, part: str) -> Tensor:
    """Return counts [pairs 3] of (first, second, count), sorted. Raises Failure for other types."""
    if not isinstance(pairs, dict):
        raise Failure(f"{part} gives a {type(pairs).__name__}; give a Counter or a dict of pairs")
    rows = sorted((*pair, count) for pair, count in pairs.items() if count)
    return torch.tensor(rows, dtype=torch.long).view(-1, 3)


def numbers(ids: object, part: str) -> Tensor:
    """Return ids as a tensor. Raises Failure for other types."""
    try:
        return torch.tensor([int(each) for each in ids], dtype=torch.long)  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        raise Failure(f"{part} gives {ids!r}, not a sequence of ids") from None


def merges_as_tensor(merges: object) -> Tensor:
    """Return merges [merges 2]. Raises Failure for other types."""
    try:
        rows = [(int(left), int(right)) for left, right in merges]  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        raise Failure(
            f"train_bpe gives {str(merges)[:60]}..., not a list of pairs of ids"
        ) from None
    return torch.tensor(rows, dtype=torch.long).view(-1, 2)


def counted(module: ModuleType, _seed: int) -> Observation:
    pairs = module.count_pairs(WORDS.copy())
    return {"the pairs of four words (first, second, count)": pairs_as_tensor(pairs, "count_pairs")}


def counted_text(module: ModuleType, _seed: int) -> Observation:
    pairs = module.count_pairs(module.words_of(TEXT))
    return {"the pairs of a text (first, second, count)": pairs_as_tensor(pairs, "count_pairs")}


def counted_nothing(module: ModuleType, _seed: int) -> Observation:
    pairs = module.count_pairs(Counter({(5,): 3, (): 1}))
    return {"the pairs of words of one byte": str(len(pairs))}


def words_kept(module: ModuleType, _seed: int) -> Observation:
    words = WORDS.copy()
    module.count_pairs(words)
    return {"the words afterwards": "as before" if words == WORDS else "changed"}


MERGED = {
    "1 2 1 2 3 with (1, 2)": ((1, 2, 1, 2, 3), (1, 2)),
    "1 1 1 with (1, 1)": ((1, 1, 1), (1, 1)),
    "1 1 1 1 with (1, 1)": ((1, 1, 1, 1), (1, 1)),
    "2 1 2 with (1, 2)": ((2, 1, 2), (1, 2)),
    "2 1 with (1, 2)": ((2, 1), (1, 2)),
    "3 with (1, 2)": ((3,), (1, 2)),
    "nothing with (1, 2)": ((), (1, 2)),
}


def merged(module: ModuleType, _seed: int) -> Observation:
    return {
        f"{name} as 9": numbers(module.merge(word, pair, 9), "merge")
        for name, (word, pair) in MERGED.items()
    }


def first_merges(module: ModuleType, _seed: int) -> Observation:
    return {"the first 5 merges": merges_as_tensor(module.train_bpe(TEXT, 261))}


def all_merges(module: ModuleType, _seed: int) -> Observation:
    return {
        "the merges": merges_as_tensor(module.train_bpe(TEXT, VOCAB_SIZE)),
        "the merges of 'abc abc abq zy zy'": merges_as_tensor(
            module.train_bpe("abc abc abq zy zy", 260)
        ),
    }


def few_pairs(module: ModuleType, _seed: int) -> Observation:
    return {
        "the merges of 'ab ab' up to 1,000 ids": merges_as_tensor(module.train_bpe("ab ab", 1000)),
        "the merges of an empty text": merges_as_tensor(module.train_bpe("", 300)),
        "the merges up to 256 ids": merges_as_tensor(module.train_bpe(TEXT, 256)),
    }


def train_refusals(module: ModuleType, _seed: int) -> Observation:
    return {"a vocabulary of 255": ending(partial(module.train_bpe, "a text", 255))}


def learned(_seed: int) -> list[tuple[int, int]]:
    """Return merges whose order matters: the shorter ones inside them are learned later too."""
    # fmt: off
    return [(108, 111), (101, 115), (257, 116), (256, 119), (32, 259), (110, 101), (32, 261),
            (262, 119), (263, 258), (105, 100), (32, 119), (266, 265), (267, 258), (101, 114)]
    # fmt: on


def encoded(module: ModuleType, seed: int) -> Observation:
    return {"the ids of a text": numbers(module.encode(TEXT, learned(seed)), "encode")}


def encoded_by_tiktoken(_reference: ModuleType, seed: int) -> Observation:
    import tiktoken

    names = {byte: bytes([byte]) for byte in range(256)}
    for number, (left, right) in enumerate(learned(seed)):
        names[256 + number] = names[left] + names[right]
    pattern = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
    ranks = {name: id for id, name in names.items()}
    engine = tiktoken.Encoding("lesson", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    return {"the ids of a text": torch.tensor(engine.encode_ordinary(TEXT))}


def encoded_bytes(module: ModuleType, _seed: int) -> Observation:
    return {
        "the ids without merges": numbers(module.encode("é 🙂", []), "encode"),
        "the ids of an empty text": numbers(module.encode("", []), "encode"),
    }


def by_rank(module: ModuleType, _seed: int) -> Observation:
    """Encode `abc` with two overlapping merges: the one learned first applies."""
    ab, bc = (97, 98), (98, 99)
    return {
        "'abc' with bc learned before ab": numbers(module.encode("abc", [bc, ab]), "encode"),
        "'abc' with ab learned before bc": numbers(module.encode("abc", [ab, bc]), "encode"),
    }


def within_words(module: ModuleType, _seed: int) -> Observation:
    """A merge of a letter and a space never applies: words begin with the space."""
    return {"'a a' with 'a ' learned": numbers(module.encode("a a", [(97, 32)]), "encode")}


def decoded(module: ModuleType, seed: int) -> Observation:
    return {
        "the text of ids": str(module.decode([256, 119, 32, 262, 119], learned(seed))),
        "of its own ids": str(module.decode([*"🙂é".encode()], [])),
        "of no ids": str(module.decode([], [])),
    }


def decoded_broken(module: ModuleType, _seed: int) -> Observation:
    return {"the text of half a character": str(module.decode([97, 0xE2, 0x82, 98], []))}


def decoded_across(module: ModuleType, _seed: int) -> Observation:
    """Decode a character whose bytes are in several ids."""
    return {"a character in three ids": str(module.decode([256, 0x82, 0xAC], [(120, 0xE2)]))}


def decode_refusals(module: ModuleType, _seed: int) -> Observation:
    return {"an id past the last": ending(partial(module.decode, [256], []))}
