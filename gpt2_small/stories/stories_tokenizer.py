"""Tokenize stories into the words of their grammar."""

from gpt2_small.stories.rules import BEGIN, GRAMMAR
from gpt2_small.tokenizers.words import WordTokenizer, join_words, split_words

__all__ = ["BEGIN_ID", "VOCABULARY", "StoriesTokenizer", "join_words", "split_words"]

VOCABULARY: tuple[str, ...] = (BEGIN, *sorted(GRAMMAR.words()))
BEGIN_ID = 0


class StoriesTokenizer(WordTokenizer):
    """The word tokenizer of this version's stories, one story on each line."""

    vocab_size = len(VOCABULARY)

    def __init__(self) -> None:
        super().__init__(VOCABULARY, name="stories")
