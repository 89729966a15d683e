"""Tokenize dialogues: the words of stories and questions, and two roles."""

from gpt2_small.stories.dialogues.dialogue_rules import ASSISTANT, DIALOGUES, USER
from gpt2_small.stories.stories_tokenizer import VOCABULARY
from gpt2_small.tokenizers.chat_roles import with_roles
from gpt2_small.tokenizers.protocol import Tokenizer
from gpt2_small.tokenizers.words import WordTokenizer

NEW_WORDS = tuple(sorted(DIALOGUES.words() - {*VOCABULARY, USER, ASSISTANT}))

# The word of each id: first the stories' words with their ids.
DIALOGUE_WORDS: tuple[str, ...] = (*VOCABULARY, *NEW_WORDS, USER, ASSISTANT)


def dialogue_tokenizer() -> Tokenizer:
    """Make the tokenizer `dialogues-chat`, whose first ids are those of the tokenizer `stories`."""
    return with_roles(WordTokenizer((*VOCABULARY, *NEW_WORDS), name="dialogues"))
