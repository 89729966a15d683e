"""Recognise this program's own tokenizers in a Hugging Face folder's files."""

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tokenizers import Tokenizer as Engine

from gpt2_small.errors import UserError
from gpt2_small.tokenizers.byte_pairs import (
    ByteLevelTokenizer,
    BytePairTokenizer,
    byte_pair_vocabulary,
)
from gpt2_small.tokenizers.chat_roles import ASSISTANT, USER, with_roles
from gpt2_small.tokenizers.gpt2 import GPT2Tokenizer
from gpt2_small.tokenizers.gpt2_table import byte_letters
from gpt2_small.tokenizers.hugging_face.engines import (
    OWN_NAMES,
    UNKNOWN,
    Merges,
    behaviour,
    engine_of,
    special_names,
)
from gpt2_small.tokenizers.protocol import END_OF_TEXT, Tokenizer
from gpt2_small.tokenizers.simple import ByteTokenizer, CharTokenizer
from gpt2_small.tokenizers.words import WordTokenizer

# SHA-256 of GPT-2's tokens and of its merges, in order, in byte letters, one on each line.
GPT2_TOKENS_SHA256 = "3a1f1c010d179f036be1992bc14b861e326341438633869c694dc4dccfe153d3"
GPT2_MERGES_SHA256 = "04e3597d7996f292ca9b8b7285ca4d58a6ae171ac47d73fc7140ceb0c7a6bbc0"


def own_kind(
    engine: Engine, named: Mapping[str, str], ends: frozenset[int], options: Mapping[str, Any]
) -> Tokenizer | None:
    """The own tokenizer that is equivalent to an engine with its settings; None without one.

    Args:
        named: the tokens that the files name, such as `eos_token`.
        ends: the `eos_token_id` of the model's files.
        options: of tokenizer_config.json.
    """
    if options.get("split_special_tokens"):
        return None
    vocabulary: dict[str, int] = engine.get_vocab()
    eos = named.get("eos_token")
    eos = eos if eos in vocabulary else None
    all_ends = {id for id in ends if id < len(vocabulary)}
    all_ends |= {vocabulary[eos]} if eos is not None else set()
    special = _special(engine)
    has_roles = {USER, ASSISTANT} <= special
    is_bpe = type(engine.model).__name__ == "BPE"
    for kind in _kinds(engine, vocabulary, named, options):
        with contextlib.suppress(UserError):  # such as for merges in an impossible order
            tokenizer = with_roles(kind()) if has_roles else kind()
            if is_bpe and tokenizer.special_tokens != {name: vocabulary[name] for name in special}:
                continue
            ends_turns = set(tokenizer.roles or ()) - tokenizer.ends  # an export lists these too
            if not all_ends and isinstance(tokenizer, WordTokenizer):
                return tokenizer  # its end is a line break, which files do not name
            if tokenizer.ends == all_ends - ends_turns:
                return tokenizer
    return None


def _kinds(
    engine: Engine,
    vocabulary: dict[str, int],
    named: Mapping[str, str],
    options: Mapping[str, Any],
) -> Iterator[Callable[[], Tokenizer]]:
    """Own tokenizers without roles that are equivalent to an engine except for their ends."""
    if type(engine.model).__name__ == "WordLevel":
        yield from _word_level(engine, vocabulary, options)
        return
    plain = engine_of(ByteTokenizer(end_of_text=False))
    if behaviour(engine) != behaviour(plain):
        return
    bare = {word: id for word, id in vocabulary.items() if word not in (USER, ASSISTANT)}
    merges = read_merges(engine)
    if _special(engine) != set(special_names(vocabulary, merges)):
        return
    of_text = {word: id for word, id in bare.items() if word != END_OF_TEXT}
    if is_gpt2(of_text, merges):
        yield GPT2Tokenizer
    elif not merges:
        yield lambda: _checked(ByteTokenizer(end_of_text=False), of_text, byte_letters())
        yield lambda: _checked(ByteTokenizer(), of_text, byte_letters())
    elif _is_trained_here(bare, merges):
        yield lambda: BytePairTokenizer(merges)
    eos = named.get("eos_token")
    if not {*named.values()} - {eos}:  # a ByteLevelTokenizer has no other named token
        yield lambda: ByteLevelTokenizer(bare, merges, end_of_text=eos if eos in bare else None)


def _word_level(
    engine: Engine, vocabulary: dict[str, int], options: Mapping[str, Any]
) -> Iterator[Callable[[], Tokenizer]]:
    """Own tokenizers of characters or words that are equivalent to a word-level engine."""
    special, by_id = _special(engine), sorted(vocabulary, key=vocabulary.__getitem__)
    words = [word for word in by_id if word not in {*special, UNKNOWN}]
    own = options.get(OWN_NAMES, {})
    kinds: tuple[Callable[[], Tokenizer], ...] = (
        lambda: CharTokenizer("".join(words)),
        lambda: WordTokenizer(
            [own.get("begin", "<|story|>"), *words[1:]], name=own.get("name", "stories")
        ),
    )
    for kind in kinds:
        with contextlib.suppress(UserError):
            tokenizer = with_roles(kind()) if {USER, ASSISTANT} <= special else kind()
            same = engine_of(tokenizer)
            if behaviour(same) == behaviour(engine) and same.get_vocab() == vocabulary:
                yield kind


def read_merges(engine: Engine) -> Merges:
    """The merges of a byte-pair engine, in order."""
    merges = json.loads(engine.to_str())["model"]["merges"]
    pairs = [merge.split(" ") if isinstance(merge, str) else merge for merge in merges]
    return [(left, right) for left, right in pairs]


def is_gpt2(vocabulary: Mapping[str, int], merges: Merges) -> bool:
    """Whether a vocabulary without the end of text, and merges, are GPT-2's."""
    in_order = sorted(vocabulary, key=vocabulary.__getitem__)
    if [vocabulary[word] for word in in_order] != list(range(len(in_order))):
        return False
    found = (_sha256(in_order), _sha256([" ".join(pair) for pair in merges]))
    return found == (GPT2_TOKENS_SHA256, GPT2_MERGES_SHA256)


def _is_trained_here(vocabulary: dict[str, int], merges: Merges) -> bool:
    try:
        return vocabulary == byte_pair_vocabulary(merges)
    except UserError:  # merges in an impossible order
        return False


def _checked(
    tokenizer: Tokenizer, vocabulary: dict[str, int], expected: dict[str, int]
) -> Tokenizer:
    if vocabulary != expected:
        raise UserError("the bytes are not in the order of their numbers")
    return tokenizer


def _special(engine: Engine) -> set[str]:
    added = engine.get_added_tokens_decoder().values()
    return {token.content for token in added if token.special}


def _sha256(lines: list[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
