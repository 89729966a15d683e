"""Guide learners through the tokenization lesson: steps and hints for each part."""

from gpt2_small.checker.learner.hints import Guide

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
            "Refuse an id that does not exist with a ValueError that says it.",
            "Join the bytes of all ids, and decode them at once.",
        ),
        hints=(
            "Can every id be decoded to text by itself?",
            'Join bytes first; bytes.decode("utf-8", errors="replace") comes last.',
            'b"".join(table[id] for id in ids).decode("utf-8", errors="replace")',
        ),
    ),
}
