"""List the known mistakes in the exercises of the tokenization lesson, as edits."""

from functools import partial

from gpt2_small.checker.exercise_set import exercise_mistake

from .guides import GUIDES

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
