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
        Claim("train_bpe", "It learns the right merges, of equally frequent pairs the one "
              "with the smallest ids", all_merges),
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
        Claim("decode", "An id that does not exist is refused with ValueError", decode_refusals,
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
