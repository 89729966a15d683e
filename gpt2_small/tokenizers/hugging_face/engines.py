"""Convert each kind of tokenizer to one of the `tokenizers` library, called its engine."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers, processors
from tokenizers import Tokenizer as Engine

from gpt2_small.errors import UserError
from gpt2_small.tokenizers.byte_pairs import ByteLevelTokenizer
from gpt2_small.tokenizers.chat_roles import ChatTokenizer
from gpt2_small.tokenizers.gpt2 import GPT2Tokenizer
from gpt2_small.tokenizers.gpt2_table import byte_letters
from gpt2_small.tokenizers.hugging_face.tokenizer import HuggingFaceTokenizer
from gpt2_small.tokenizers.protocol import END_OF_TEXT, Tokenizer
from gpt2_small.tokenizers.simple import ByteTokenizer, CharTokenizer
from gpt2_small.tokenizers.words import WordTokenizer

UNKNOWN = "<unk>"

Merges = list[tuple[str, str]]

# The key of tokenizer_config.json that stores a word tokenizer's name and begin token.
OWN_NAMES = "gpt2_small"

# Options of a model that affect its ids. The unknown token does not: every byte is a token.
MODEL_OPTIONS = (
    "dropout",
    "continuing_subword_prefix",
    "end_of_word_suffix",
    "ignore_merges",
)


def engine_of(tokenizer: Tokenizer, more: Sequence[str] = ()) -> Engine:
    """The library's tokenizer with the same ids.

    Args:
        more: special tokens to add after the last id.

    Raises:
        UserError: a kind of tokenizer that the library cannot represent.
    """
    if isinstance(tokenizer, ChatTokenizer):
        return engine_of(tokenizer.base, [*tokenizer.added_names, *more])
    if isinstance(tokenizer, CharTokenizer):
        return _characters(tokenizer, more)
    if isinstance(tokenizer, HuggingFaceTokenizer):
        engine = tokenizer.engine()
    elif isinstance(tokenizer, WordTokenizer):
        engine = _words(tokenizer)
    else:
        engine = byte_level_engine(*vocabulary_and_merges(tokenizer))
    engine.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in more])
    return engine


def vocabulary_and_merges(tokenizer: Tokenizer) -> tuple[dict[str, int], Merges]:
    """Vocabulary and merges of a byte-level tokenizer, in GPT-2's byte letters.

    Raises:
        UserError: the tokenizer is not a byte-level one.
    """
    if isinstance(tokenizer, ByteLevelTokenizer):
        return tokenizer.vocabulary, tokenizer.merges
    letters = byte_letters()
    merges: Merges = []
    if isinstance(tokenizer, ByteTokenizer):
        vocabulary = dict(sorted(letters.items(), key=lambda item: item[1]))
    elif isinstance(tokenizer, GPT2Tokenizer):
        letter_of = {byte: letter for letter, byte in letters.items()}

        def word(token: bytes) -> str:
            return token.decode("latin-1").translate(letter_of)

        ranks = sorted(tokenizer.ranks.items(), key=lambda item: item[1])
        merges = [(word(left), word(right)) for left, right in tokenizer.merges]
        vocabulary = {word(token): rank for token, rank in ranks}
    else:
        raise UserError(
            f"tokenizer {tokenizer.name!r} cannot be written as Hugging Face files; gpt2, "
            "bpe:SIZE, byte, char, words and those of Hugging Face folders can, also with roles"
        )
    if tokenizer.end_of_text is not None:
        vocabulary[END_OF_TEXT] = tokenizer.end_of_text
    return vocabulary, merges


def special_names(vocabulary: Mapping[str, int], merges: Merges) -> list[str]:
    """The special tokens: neither bytes nor results of merges."""
    of_text = {*byte_letters(), *(left + right for left, right in merges)}
    return [token for token in vocabulary if token not in of_text]


def behaviour(engine: Engine) -> dict[str, Any]:
    """The settings, besides vocabulary and merges, that affect ids and text, for comparison."""
    parts = (engine.normalizer, engine.pre_tokenizer, engine.decoder, engine.post_processor)
    normalizer, splitting, decoder, around = (
        None if part is None else json.loads(part.__getstate__()) for part in parts
    )
    if splitting and splitting["type"] == "ByteLevel":
        splitting.pop("trim_offsets")  # offsets do not matter, here and below
    if decoder and decoder["type"] == "ByteLevel":
        decoder = {"type": "ByteLevel"}
    if around and (around["type"] == "ByteLevel" or around.get("special_tokens") == {}):
        around = None
    model = engine.model
    return {
        "model": type(model).__name__,
        "options": {name: getattr(model, name, None) or None for name in MODEL_OPTIONS},
        "normalizer": normalizer,
        "pre_tokenizer": splitting,
        "decoder": decoder,
        "post_processor": around,
        "flags of added tokens": {
            (token.special, token.lstrip, token.rstrip, token.single_word)
            for token in engine.get_added_tokens_decoder().values()
        }
        - {(True, False, False, False)},
    }


def byte_level_engine(vocabulary: dict[str, int], merges: Merges) -> Engine:
    """An engine for byte pairs in GPT-2's byte letters."""
    engine = Engine(models.BPE(vocab=vocabulary, merges=merges))
    engine.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    engine.decoder = decoders.ByteLevel()
    engine.add_special_tokens(
        [
            AddedToken(name, special=True, normalized=False)
            for name in special_names(vocabulary, merges)
        ]
    )
    return engine


def _characters(tokenizer: CharTokenizer, more: Sequence[str]) -> Engine:
    """An engine for single characters, with UNKNOWN as the last id.

    Without UNKNOWN, characters outside the alphabet would raise errors, for example when
    TransformerLens encodes an "a" to detect added tokens.
    """
    words = [*tokenizer.characters, *more, UNKNOWN]
    vocabulary = {word: id for id, word in enumerate(words)}
    engine = Engine(models.WordLevel(vocab=vocabulary, unk_token=UNKNOWN))
    engine.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), behavior="isolated")
    engine.decoder = decoders.Fuse()
    engine.add_special_tokens(
        [AddedToken(name, special=True, normalized=False) for name in (*more, UNKNOWN)]
    )
    return engine


def _words(tokenizer: WordTokenizer) -> Engine:
    """An engine for words and marks, with a line break before each line, and curly quotes."""
    words = tokenizer.vocabulary[1:]
    vocabulary = {"\n": tokenizer.end_of_text} | {word: id for id, word in enumerate(words, 1)}
    engine = Engine(models.WordLevel(vocab=vocabulary))
    engine.normalizer = normalizers.Sequence(
        [normalizers.Replace(Regex(r'(?:^|(?<=\s))"'), "“"), normalizers.Replace('"', "”")]
    )
    word_or_mark = Regex(r"\n|\w+|[^\w\s]")
    engine.pre_tokenizer = pre_tokenizers.Split(word_or_mark, behavior="removed", invert=True)
    engine.post_processor = processors.TemplateProcessing(
        single="\n $A", special_tokens=[("\n", tokenizer.end_of_text)]
    )
    spaces = [(r"^(?=\w|“)", " "), None, (r"(?<=“) ", ""), (r"(?<=\n) ", ""), (r"^[\n ]", "")]
    engine.decoder = decoders.Sequence(
        [
            decoders.Fuse() if space is None else decoders.Replace(Regex(space[0]), space[1])
            for space in spaces
        ]
    )
    return engine
