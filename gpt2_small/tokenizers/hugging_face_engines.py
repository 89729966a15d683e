"""What our tokenizers are for the `tokenizers` library: vocabularies, splitting, decoding."""

from collections.abc import Mapping

from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers, processors
from tokenizers import Tokenizer as Engine

from gpt2_small.errors import UserError
from gpt2_small.stories import StoriesTokenizer
from gpt2_small.tokenizers.byte_pairs import ByteLevelTokenizer
from gpt2_small.tokenizers.gpt2 import GPT2Tokenizer
from gpt2_small.tokenizers.gpt2_table import byte_letters, ranks_to_merges
from gpt2_small.tokenizers.protocol import END_OF_TEXT, Tokenizer
from gpt2_small.tokenizers.simple import ByteTokenizer, CharTokenizer

UNKNOWN = "<unk>"

Merges = list[tuple[str, str]]


def words(tokenizer: Tokenizer) -> dict[str, int]:
    """Every token with its id, as these files write it."""
    if isinstance(tokenizer, CharTokenizer):
        return {character: id for id, character in enumerate(tokenizer.characters)}
    if isinstance(tokenizer, StoriesTokenizer):
        tales = tokenizer.words(range(tokenizer.vocab_size))
        return {"\n" if id == tokenizer.end_of_text else word: id for id, word in enumerate(tales)}
    return byte_level(tokenizer)[0]


def byte_level(tokenizer: Tokenizer) -> tuple[dict[str, int], Merges]:
    """Vocabulary and merges in GPT-2's stand-in letters.

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
            return "".join(letter_of[byte] for byte in token)

        ranks = sorted(tokenizer.ranks.items(), key=lambda item: item[1])
        merges = [(word(left), word(right)) for left, right in ranks_to_merges(tokenizer.ranks)]
        vocabulary = {word(token): rank for token, rank in ranks}
    else:
        raise UserError(
            f"tokenizer {tokenizer.name!r} cannot be written as Hugging Face files; "
            "gpt2, bpe:SIZE, byte, char and stories can."
        )
    if tokenizer.end_of_text is not None:
        vocabulary[END_OF_TEXT] = tokenizer.end_of_text
    return vocabulary, merges


def special_tokens(vocabulary: Mapping[str, int], merges: Merges) -> list[str]:
    """The tokens that no text encodes to: neither a byte nor made by a merge."""
    of_text = {*byte_letters(), *(left + right for left, right in merges)}
    return [token for token in vocabulary if token not in of_text]


def byte_level_engine(vocabulary: dict[str, int], merges: Merges) -> Engine:
    """Bytes in GPT-2's stand-in letters, joined by merges."""
    engine = Engine(models.BPE(vocab=vocabulary, merges=merges))
    engine.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    engine.decoder = decoders.ByteLevel()
    engine.add_special_tokens(
        [
            AddedToken(token, special=True, normalized=False)
            for token in special_tokens(vocabulary, merges)
        ]
    )
    return engine


def character_engine(tokenizer: CharTokenizer) -> Engine:
    """One character at a time; one that is not in the alphabet is UNKNOWN, after all others.

    A character without a token would be an error, which TransformerLens, for one, does not expect
    when it encodes an "a" to see what a tokenizer adds.
    """
    vocabulary = words(tokenizer) | {UNKNOWN: tokenizer.vocab_size}
    engine = Engine(models.WordLevel(vocab=vocabulary, unk_token=UNKNOWN))
    engine.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), behavior="isolated")
    engine.decoder = decoders.Fuse()
    return engine


def stories_engine(tokenizer: StoriesTokenizer) -> Engine:
    """One word or mark at a time, a line break before each line, curly quotation marks."""
    engine = Engine(models.WordLevel(vocab=words(tokenizer)))
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
