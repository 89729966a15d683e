"""Define the exercises of the tokenization lesson: claims, known mistakes and hints."""

from collections import Counter
from functools import partial
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor

from gpt2_small.checker.claims import Claim
from gpt2_small.checker.claims.failure import Failure
from gpt2_small.checker.claims.observation import Observation
from gpt2_small.checker.claims.refusals import ending
from gpt2_small.checker.exercise_set import ExerciseSet, exercise_mistake
from gpt2_small.checker.learner.hints import Guide

TEXT = (
    "low low low low low lower lower newest newest newest newest newest newest widest widest "
    "widest. It's 2026, and we'll see: the newest of the lower ones isn't the widest one.\n\n"
    "  Two spaces, a tab\t, 12345 and 678; naïve café, 東京 and 🙂🙂.   "
)
VOCAB_SIZE = 300
WORDS = Counter({(1, 2, 1, 2, 3): 3, (2, 3): 5, (1, 1, 1): 2, (4,): 9})


def pairs_as_tensor(pairs: object, part: str) -> Tensor:
    """Counts [pairs 3] of (first, second, count), sorted. Raises Failure for what is no mapping."""
    if not isinstance(pairs, dict):
        raise Failure(f"{part} gives a {type(pairs).__name__}; give a Counter or a dict of pairs")
    rows = sorted((*pair, count) for pair, count in pairs.items() if count)
    return torch.tensor(rows, dtype=torch.long).view(-1, 3)


def numbers(ids: object, part: str) -> Tensor:
    """Ids as a tensor. Raises Failure for what holds no whole numbers."""
    try:
        return torch.tensor([int(each) for each in ids], dtype=torch.long)  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        raise Failure(f"{part} gives {ids!r}, not a sequence of ids") from None


def merges_as_tensor(merges: object) -> Tensor:
    """Merges [merges 2]. Raises Failure for what is no list of pairs of ids."""
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
    """Merges whose order matters: the shorter ones that they are made of come later too."""
    return [(108, 111), (101, 115), (257, 116), (256, 119), (32, 259), (110, 101), (32, 261),
            (262, 119), (263, 258), (105, 100), (32, 119), (266, 265), (267, 258), (101, 114)]  # fmt: skip


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
    """`abc` with two merges that overlap: the first that was learned applies, wherever it is."""
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
    """A character whose bytes are in several ids."""
    return {"a character in three ids": str(module.decode([256, 0x82, 0xAC], [(120, 0xE2)]))}


def decode_refusals(module: ModuleType, _seed: int) -> Observation:
    return {"an id past the last": ending(partial(module.decode, [256], []))}


CLAIMS = {
    "count_pairs": (
        Claim("count_pairs", "It counts the pairs of every word as often as the word occurs",
              counted, gate=True),
        Claim("count_pairs", "It counts the pairs of a text", counted_text),
        Claim("count_pairs", "A word of one byte has no pair", counted_nothing),
        Claim("count_pairs", "The words stay as they are", words_kept, group="inputs"),
    ),
    "merge": (
        Claim("merge", "It replaces every occurrence, from left to right, without overlap", merged,
              gate=True),
    ),
    "train_bpe": (
        Claim("train_bpe", "It takes the pair that occurs most often first", first_merges),
        Claim("train_bpe", "It learns the right merges, of equally frequent pairs the one with the smallest ids",
              all_merges),
        Claim("train_bpe", "It stops at vocab_size ids, and where no pair is left", few_pairs),
        Claim("train_bpe", "Fewer ids than there are bytes are refused with ValueError",
              train_refusals, group="refusals"),
    ),
    "encode": (
        Claim("encode", "Without merges, the ids are the bytes", encoded_bytes, gate=True),
        Claim("encode", "It gives the ids that tiktoken gives", encoded,
              also=(encoded_by_tiktoken,)),
        Claim("encode", "Of two merges that overlap, the one learned first applies", by_rank),
        Claim("encode", "No merge crosses from one word into the next", within_words),
    ),
    "decode": (
        Claim("decode", "It gives the text back", decoded, gate=True),
        Claim("decode", "Bytes that are not UTF-8 become U+FFFD", decoded_broken),
        Claim("decode", "A character may be spread over several ids", decoded_across),
        Claim("decode", "An id that there is not is refused with ValueError", decode_refusals,
              group="refusals"),
    ),
}  # fmt: skip

GUIDES = {
    "count_pairs": Guide(
        steps=("For every word, count each pair of neighbours as often as the word occurs.",),
        hints=(
            "A word that occurs three times adds how much to each of its pairs?",
            "itertools.pairwise(word) gives the neighbours.",
            "pairs[pair] += count",
        ),
    ),
    "merge": Guide(
        steps=(
            "Walk through the word from left to right.",
            "Where the pair begins, add new_id and go on behind the pair; else add the id.",
        ),
        hints=(
            "What becomes of 1 1 1 when (1, 1) is merged?",
            "After a match, go on two places further, so that occurrences do not overlap.",
            "at += 2 after a match, at += 1 otherwise",
        ),
    ),
    "train_bpe": Guide(
        steps=(
            "Refuse fewer than 256 ids with a ValueError that says how many were asked for.",
            "Split the text into words and count them.",
            "Until there are enough ids: count pairs, take the best, and merge it in every word.",
            "Stop when no pair is left.",
        ),
        hints=(
            "Which pair is best when several occur equally often? The docstring says.",
            "Count again after every merge: the merge changes the neighbours.",
            "min(pairs, key=lambda pair: (-pairs[pair], pair))",
        ),
    ),
    "encode": Guide(
        steps=(
            "Split the text into words, each as the ids of its bytes.",
            "In each word, apply the merge that was learned first among those that fit, again "
            "and again, until none fits.",
        ),
        hints=(
            "Two merges fit and overlap: which one applies?",
            "The rank of a merge is its place in the list, and its id is 256 plus the rank.",
            "min(pairwise(word), key=lambda pair: rank.get(pair, len(rank)))",
        ),
    ),
    "decode": Guide(
        steps=(
            "Build the bytes of every id: of a merge, the bytes of its two sides.",
            "Refuse an id that there is not with a ValueError that says it.",
            "Join the bytes of all ids, and decode them at once.",
        ),
        hints=(
            "Can every id be decoded to text by itself?",
            'Join bytes first; bytes.decode("utf-8", errors="replace") comes last.',
            'b"".join(table[id] for id in ids).decode("utf-8", errors="replace")',
        ),
    ),
}


mistake = partial(exercise_mistake, GUIDES)


_NEIGHBOURS = "for pair in pairwise(word):"
_COUNT = "pairs[pair] += count"
_MATCH = "merged.append(new_id)\n            at += 2"
_BEST = "best = min(pairs, key=lambda pair: (-pairs[pair], pair))"
_FIRST = "first = min(pairwise(word), key=lambda pair: rank.get(pair, len(rank)))"
_JOIN = 'return b"".join(table[id] for id in ids).decode("utf-8", errors="replace")'

MISTAKES = {
    "count_pairs": (
        mistake("count_pairs", "of-different-words", _COUNT, "pairs[pair] += 1",
                "counts every different word once", "How often does a word of count 3 add?"),
        mistake("count_pairs", "overwritten", _COUNT, "pairs[pair] = count",
                "keeps the count of the last word that has the pair",
                "What becomes of a pair that several words have?"),
        mistake("count_pairs", "once-a-word", _NEIGHBOURS, "for pair in set(zip(word, word[1:])):",
                "counts a pair once a word, however often the word has it",
                "How often is (1, 2) in 1 2 1 2 3?"),
        mistake("count_pairs", "without-overlap", _NEIGHBOURS,
                "for pair in zip(word[::2], word[1::2]):",
                "counts pairs that do not overlap", "How many pairs has a word of three ids?"),
        mistake("count_pairs", "backwards", _NEIGHBOURS, "for pair in zip(word[1:], word):",
                "puts the later id first", "Which id of a pair comes first?"),
        mistake("count_pairs", "two-apart", _NEIGHBOURS, "for pair in zip(word, word[2:]):",
                "pairs ids that are two places apart", "Which ids are neighbours?"),
        mistake("count_pairs", "first-only", _NEIGHBOURS, "for pair in [*zip(word, word[1:])][:1]:",
                "counts the first pair of each word", "How many pairs has a word of five ids?"),
        mistake("count_pairs", "by-length", _COUNT, "pairs[pair] += count * len(word)",
                "weighs words by their length", "How often does a word of count 3 add?"),
    ),
    "merge": (
        mistake("merge", "overlapping", _MATCH, "merged.append(new_id)\n            at += 1",
                "lets occurrences overlap: it goes on inside the pair that it replaced",
                "Where does the walk go on after a match?"),
        mistake("merge", "first-only", _MATCH,
                "return (*merged, new_id, *word[at + 2 :])",
                "replaces the first occurrence only", "What becomes of 1 2 1 2?"),
        mistake("merge", "either-order", "if tuple(word[at : at + 2]) == pair:",
                "if sorted(word[at : at + 2]) == sorted(pair):",
                "replaces the pair in either order", "Is 2 1 the pair (1, 2)?"),
        mistake("merge", "last-lost", "while at < len(word):", "while at < len(word) - 1:",
                "loses the last id when it is in no pair", "When does the walk end?"),
        mistake("merge", "keeps-the-second", _MATCH,
                "merged += [new_id, pair[1]]\n            at += 2",
                "keeps the second id behind the new one", "How long is the word after a merge?"),
        mistake("merge", "first-id-alone", "if tuple(word[at : at + 2]) == pair:",
                "if word[at] == pair[0]:",
                "looks at the first id of the pair alone", "What must the second id be?"),
        mistake("merge", "from-the-right", "merged: list[int] = []\n    at = 0",
                "turned = merge(word[::-1], pair[::-1], new_id)[::-1] if pair[0] == pair[1] and "
                "len(word) % 2 else None\n    if turned is not None:\n        return "
                "_from_right(word, pair, new_id)\n    merged: list[int] = []\n    at = 0",
                "walks from right to left", "What becomes of 1 1 1 when (1, 1) is merged?",
                also=(("def merge(", "def _from_right(word, pair, new_id):\n    out, at = [], "
                       "len(word)\n    while at:\n        if tuple(word[max(at - 2, 0) : at]) == "
                       "pair:\n            out.insert(0, new_id)\n            at -= 2\n        "
                       "else:\n            out.insert(0, word[at - 1])\n            at -= 1\n"
                       "    return tuple(out)\n\n\ndef merge("),)),
        mistake("merge", "pair-itself", _MATCH, "merged += list(pair)\n            at += 2",
                "writes the pair again instead of the new id", "What is new_id for?"),
    ),
    "train_bpe": (
        mistake("train_bpe", "rarest", _BEST,
                "best = min(pairs, key=lambda pair: (pairs[pair], pair))",
                "takes the rarest pair", "Which pair saves the most ids?"),
        mistake("train_bpe", "ties-by-greater-ids", _BEST,
                "best = max(pairs, key=lambda pair: (pairs[pair], pair))",
                "takes the pair with the greatest ids among those that occur equally often",
                "Several pairs occur equally often: what does the docstring say?"),
        mistake("train_bpe", "ties-by-first-seen", _BEST,
                "best = max(pairs, key=lambda pair: pairs[pair])",
                "takes the pair that was seen first among those that occur equally often",
                "Several pairs occur equally often: what does the docstring say?"),
        mistake("train_bpe", "ties-by-greater-bytes", _BEST,
                "best = max(pairs, key=lambda pair: (pairs[pair], tuple(_bytes(id, merges) "
                "for id in pair)))",
                "takes the greater pair of byte strings among those that occur equally often, as "
                "some courses ask",
                "Several pairs occur equally often: what does the docstring say?",
                also=(("def train_bpe(", "def _bytes(id, merges):\n    if id < 256:\n        "
                       "return bytes([id])\n    left, right = merges[id - 256]\n    return "
                       "_bytes(left, merges) + _bytes(right, merges)\n\n\ndef train_bpe("),)),
        mistake("train_bpe", "counted-once", "pairs = count_pairs(words)",
                "pairs = count_pairs(words_of(text))",
                "counts the pairs of the text as it was before any merge",
                "What does a merge change about the pairs?"),
        mistake("train_bpe", "no-words", "words, merges = words_of(text), list[Pair]()",
                "words, merges = Counter({tuple(text.encode()): 1}), list[Pair]()",
                "does not split the text into words, so merges cross spaces",
                "May a merge join the end of one word and the beginning of the next?"),
        mistake("train_bpe", "one-id-more", "while 256 + len(merges) < vocab_size:",
                "while 256 + len(merges) <= vocab_size:",
                "learns one merge too many", "How many merges make 257 ids?"),
        mistake("train_bpe", "size-is-merges", "while 256 + len(merges) < vocab_size:",
                "while len(merges) < vocab_size:",
                "learns vocab_size merges: the bytes are ids too",
                "How many ids are there before any merge?"),
        mistake("train_bpe", "words-once", "merged[merge(word, best, new_id)] += count",
                "merged[merge(word, best, new_id)] = 1",
                "forgets after the first merge how often each word occurs",
                "How often does a word of count 3 occur after a merge?"),
        mistake("train_bpe", "no-refusal", "if vocab_size < 256:", "if vocab_size < 0:",
                "accepts fewer ids than there are bytes", "How many bytes are there?"),
    ),
    "encode": (
        mistake("encode", "leftmost", _FIRST,
                "first = next((pair for pair in zip(word, word[1:]) if pair in rank), (-1, -1))",
                "applies the leftmost merge that fits instead of the one learned first",
                "Two merges fit and overlap: which one applies?"),
        mistake("encode", "last-learned", _FIRST,
                "first = max(zip(word, word[1:]), key=lambda pair: rank.get(pair, -1))",
                "applies the merge learned last", "In which order were the merges learned?"),
        mistake("encode", "no-words", "for match in PATTERN.findall(text):", "for match in [text]:",
                "does not split the text into words, so merges cross spaces",
                "What is the first step of training?"),
        mistake("encode", "by-spaces", "for match in PATTERN.findall(text):",
                "for match in text.split():",
                "splits at spaces and loses them", "Does `decode` give the text back?"),
        mistake("encode", "one-merge", "word = merge(word, first, 256 + rank[first])",
                "word = merge(word, first, 256 + rank[first])\n            break",
                "applies one merge in each word", "When does a word stop changing?"),
        mistake("encode", "id-is-rank", "word = merge(word, first, 256 + rank[first])",
                "word = merge(word, first, rank[first])",
                "gives merges the ids of bytes", "Which ids are taken already?"),
        mistake("encode", "characters", "word = tuple(match.encode())",
                "word = tuple(map(ord, match))",
                "begins with characters instead of bytes", "How many bytes has é?"),
        mistake("encode", "latin", "word = tuple(match.encode())",
                'word = tuple(match.encode("latin-1", errors="replace"))',
                "encodes the text as Latin-1, not UTF-8", "How many bytes has é in UTF-8?"),
    ),
    "decode": (
        mistake("decode", "id-by-id", _JOIN,
                'return "".join(table[id].decode("utf-8", errors="replace") for id in ids)',
                "decodes every id by itself, which breaks characters of several bytes",
                "Can every id be decoded to text by itself?"),
        mistake("decode", "ignored", _JOIN,
                'return b"".join(table[id] for id in ids).decode("utf-8", errors="ignore")',
                "drops bytes that are not UTF-8", "What does the docstring say of such bytes?"),
        mistake("decode", "strict", _JOIN,
                'return b"".join(table[id] for id in ids).decode("utf-8")',
                "fails for bytes that are not UTF-8", "What does the docstring say of such bytes?"),
        mistake("decode", "latin", _JOIN,
                'return b"".join(table[id] for id in ids).decode("latin-1")',
                "reads the bytes as Latin-1", "Which encoding did `encode` use?"),
        mistake("decode", "sides-exchanged", "table[256 + number] = table[left] + table[right]",
                "table[256 + number] = table[right] + table[left]",
                "exchanges the sides of a merge", "Which side of a merge comes first?"),
        mistake("decode", "bytes-of-sides", "table[256 + number] = table[left] + table[right]",
                "table[256 + number] = bytes([left % 256, right % 256])",
                "takes the sides of a merge for bytes", "What are the sides of a later merge?"),
        mistake("decode", "off-by-one", "table[256 + number] = table[left] + table[right]",
                "table[257 + number] = table[left] + table[right]",
                "gives every merge the id after its own", "Which id has the first merge?"),
        mistake("decode", "unknown-skipped",
                'raise ValueError(f"there is no id {id}; ids run from 0 to {len(table) - 1}")',
                "return b''.join(table.get(id, b'') for id in ids).decode('utf-8', 'replace')",
                "leaves out ids that there are not", "What does the docstring say of such an id?"),
    ),
}  # fmt: skip

EXERCISES = ExerciseSet(
    name="tokenization",
    reference=Path(__file__).with_name("reference.py"),
    parts=tuple(CLAIMS),
    claims=CLAIMS.__getitem__,
    mistakes=MISTAKES.__getitem__,
    guides=lambda: GUIDES,
)
