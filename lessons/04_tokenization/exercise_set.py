"""Define the exercises of the tokenization lesson: the claims about each part."""

from pathlib import Path

from gpt2_small.checker.claims import Claim
from gpt2_small.checker.exercise_set import ExerciseSet

from .guides import GUIDES
from .mistakes import MISTAKES
from .observations import (
    all_merges,
    by_rank,
    counted,
    counted_nothing,
    counted_text,
    decode_refusals,
    decoded,
    decoded_across,
    decoded_broken,
    encoded,
    encoded_by_tiktoken,
    encoded_bytes,
    few_pairs,
    first_merges,
    merged,
    train_refusals,
    within_words,
    words_kept,
)

CLAIMS = {
    "count_pairs": (
        Claim("count_pairs", "pairs of a word count as often as the word occurs",
              counted, gate=True),
        Claim("count_pairs", "correct pair counts for a text", counted_text),
        Claim("count_pairs", "a word of one byte has no pair", counted_nothing),
        Claim("count_pairs", "the words are not modified in place", words_kept, group="inputs"),
    ),
    "merge": (
        Claim("merge", "it replaces every occurrence, from left to right, without overlap", merged,
              gate=True),
    ),
    "train_bpe": (
        Claim("train_bpe", "the most frequent pair is merged first", first_merges),
        Claim("train_bpe", "correct merges; ties go to the pair with the smallest ids", all_merges),
        Claim("train_bpe", "it stops at vocab_size ids or when no pair is left", few_pairs),
        Claim("train_bpe", "ValueError for fewer ids than there are bytes",
              train_refusals, group="refusals"),
    ),
    "encode": (
        Claim("encode", "without merges, the ids are the bytes", encoded_bytes, gate=True),
        Claim("encode", "same ids as tiktoken", encoded,
              also=(encoded_by_tiktoken,)),
        Claim("encode", "of two merges that overlap, the one learned first applies", by_rank),
        Claim("encode", "no merge crosses from one word into the next", within_words),
    ),
    "decode": (
        Claim("decode", "decoding returns the text", decoded, gate=True),
        Claim("decode", "invalid UTF-8 becomes U+FFFD", decoded_broken),
        Claim("decode", "a character may span several ids", decoded_across),
        Claim("decode", "ValueError for an unknown id", decode_refusals,
              group="refusals"),
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
